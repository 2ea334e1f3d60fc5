/** One configuration, several suites: `npm run test:unit`, `test:contract` … choose by path. */
export default {
  testEnvironment: 'node',
  // Jest leaves one core idle unless told not to: of two, that is half.
  maxWorkers: '100%',
  // No test is timed: this only ends one that hangs, on however busy a machine.
  testTimeout: 60_000,
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2024' }, module: { type: 'es6' } },
    ],
  },
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/.serverless', '<rootDir>/.esbuild', '<rootDir>/.steward'],
};
