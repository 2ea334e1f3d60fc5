/** Reads the TypeScript lists that the template is computed from. Needs a Node that runs TypeScript: `npx serverless` brings Node 24. */
const [major] = process.versions.node.split('.').map(Number);
if (major < 24)
  throw new Error(
    `serverless runs on Node ${process.versions.node}, the template needs 24: run it as "npx serverless" after "npm ci", which installs Node 24 beside it`,
  );
const { remediations } = require('../shared/remediations/index.ts');
const { rolePolicy } = require('../shared/core/permissions.ts');
const { loadPolicy } = require('./policy.ts');

exports.remediations = remediations;
exports.rolePolicy = rolePolicy;
/** The checked steward.yml, or the file that STEWARD_POLICY names: another stage may have another. @throws with every problem, its line, what was given and what is allowed */
exports.policy = () => loadPolicy(remediations, process.env.STEWARD_POLICY);
/** 'HealIamRole' → no dots and dashes: a CloudFormation name. */
exports.logicalId = (text) =>
  text
    .split(/[^A-Za-z0-9]+/)
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join('');
