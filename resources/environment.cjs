/** What the functions are told. */
const { LOCAL, worldEndpoints } = require('./local.cjs');

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) => ({
    STEWARD_STAGE: stage,
    STEWARD_ACCOUNT: { Ref: 'AWS::AccountId' },
    STEWARD_TABLE: { Ref: 'StateTable' },
    STEWARD_QUEUE_URL: { Ref: 'SignalsQueue' },
    POWERTOOLS_LOG_LEVEL: 'INFO',
    ...(stage === LOCAL ? worldEndpoints() : {}),
  }));
