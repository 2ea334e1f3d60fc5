/**
 * All that is different in the stage `local`, the sandbox: its fleet (EC2, SSM, CloudWatch, STS) is the world's, at the address that the sandbox gives,
 * and its emulator has no SSM documents (the world serves those too).
 */
exports.LOCAL = 'local';

const SERVICES = ['EC2', 'SSM', 'CLOUDWATCH', 'STS'];

exports.worldEndpoints = () => {
  const url = process.env.STEWARD_WORLD_URL;
  // Packaging alone needs no world.
  if (!url) return {};
  return Object.fromEntries(SERVICES.map((service) => [`AWS_ENDPOINT_URL_${service}`, url]));
};
