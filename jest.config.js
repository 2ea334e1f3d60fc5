/** Two projects: choose by path, `npx jest test/stories/trail.test.ts`; the path says which it is. */
const STARTS_PROCESSES = ['contract', 'simulation', 'template', 'host', 'sandbox'];
const ignored = ['<rootDir>/.serverless', '<rootDir>/.esbuild', '<rootDir>/.steward'];

export default {
  // Jest leaves one core idle unless told not to: of two, that is half.
  maxWorkers: '100%',
  // No test is timed: this only ends one that hangs, on however busy a machine.
  testTimeout: 120_000,
  projects: [
    {
      displayName: 'rules',
      // Bare Node, which strips the types itself: jest's own modules take half as long again. Files share what they import, and nothing else.
      runner: 'jest-light-runner',
      transform: {},
      testMatch: ['<rootDir>/test/**/*.test.ts'],
      testPathIgnorePatterns: [`<rootDir>/test/(${STARTS_PROCESSES.join('|')})/`],
      modulePathIgnorePatterns: ignored,
    },
    {
      displayName: 'whole',
      testEnvironment: 'node',
      extensionsToTreatAsEsm: ['.ts'],
      transform: {
        '^.+\\.ts$': [
          '@swc/jest',
          { jsc: { parser: { syntax: 'typescript' }, target: 'es2024' }, module: { type: 'es6' } },
        ],
      },
      testMatch: STARTS_PROCESSES.map((folder) => `<rootDir>/test/${folder}/**/*.test.ts`),
      modulePathIgnorePatterns: ignored,
    },
  ],
};
