/** The channels of steward.yml, for the template. @throws Error for one that may only be in the sandbox */
const { policy } = require('./from-source.cjs');
const { LOCAL } = require('./local.cjs');

exports.channels = (stage) => {
  const all = Object.entries(policy().channels);
  const open = all.filter(([, c]) => c.type === 'webhook' && !c.url.startsWith('https://'));
  if (open.length > 0 && stage !== LOCAL)
    throw new Error(
      `channels.${open[0][0]}.url is not https: nothing was deployed. Only the stage ${LOCAL} may post to this machine`,
    );
  return all;
};
