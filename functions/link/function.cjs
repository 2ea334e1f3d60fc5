/** The public door: there is one only if the policy says so. */
const { policy } = require('../../resources/from-source.cjs');

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) =>
    policy().links
      ? {
          link: {
            name: `steward-${stage}-link`,
            description: 'Answers by signed links and Slack buttons; public, as `links` in steward.yml says',
            handler: 'functions/link/index.handler',
            // Slack waits three seconds.
            timeout: 10,
            memorySize: 512,
            // People click one by one: whoever tries many gets 429 from Lambda, and costs no more than this.
            reservedConcurrency: 2,
            maximumRetryAttempts: 0,
            role: 'LinkRole',
            url: true,
            environment: { STEWARD_LINK_KEY: { 'Fn::GetAtt': ['LinkKey', 'Arn'] } },
            package: {
              patterns: ['!functions/**', 'functions/link/**'],
            },
          },
        }
      : {},
  );
