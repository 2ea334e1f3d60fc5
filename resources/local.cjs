/**
 * All that is different in the stage `local`, the sandbox: what it works on (SERVICES) is the world's, at the address that the sandbox gives, and its
 * emulator has no SSM documents (the world serves those too).
 */
exports.LOCAL = 'local';

/** As the SDK's endpoint variables name them. */
const SERVICES = [
  'EC2',
  'AUTO_SCALING',
  'SSM',
  'CLOUDWATCH',
  'CLOUDWATCH_LOGS',
  'CLOUDTRAIL',
  'HEALTH',
  'ECS',
  'ECR',
  'APPLICATION_AUTO_SCALING',
  'ELASTIC_LOAD_BALANCING_V2',
  'WAFV2',
  'STS',
];

exports.worldEndpoints = (url = process.env.STEWARD_WORLD_URL) => {
  // Packaging alone needs no world.
  if (!url) return {};
  return Object.fromEntries(SERVICES.map((service) => [`AWS_ENDPOINT_URL_${service}`, url]));
};
