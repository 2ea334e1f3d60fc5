/** What answer is told beside what all are told: where the activity log lies, and, if there are links, how to make them. */
const link = require('../link/address.cjs');

module.exports = () => ({
  STEWARD_ACTIVITY_TABLE: { Ref: 'ActivityTable' },
  STEWARD_ACTIVITY_BUCKET: { Ref: 'ActivityBucket' },
  STEWARD_ACTIVITY_KEY: { 'Fn::GetAtt': ['ActivityKey', 'Arn'] },
  STEWARD_ACTIVITY_QUEUE: { Ref: 'ActivityQueue' },
  ...link(),
});
