/**
 * ESM with splitting: adapters load when they are first used (docs/adr/0010-tools.md). The checked policy goes into the bundle: what runs is what
 * was checked, and a mistake in steward.yml ends the packaging.
 */
const { policy } = require('./from-source.cjs');

module.exports = () => ({
  bundle: true,
  minify: true,
  sourcemap: false,
  format: 'esm',
  splitting: true,
  platform: 'node',
  target: 'node24',
  mainFields: ['module', 'main'],
  outputFileExtension: '.mjs',
  // Some dependencies still call require.
  banner: {
    js: "import{createRequire as createRequireOfSteward}from'node:module';const require=createRequireOfSteward(import.meta.url);",
  },
  define: { STEWARD_POLICY: JSON.stringify(JSON.stringify(policy())) },
  exclude: [],
  concurrency: 2,
});
