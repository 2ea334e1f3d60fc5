/** What tells the readers of the activity log apart by tags; only where steward.yml does. */
const { policy } = require('../../resources/from-source.cjs');
const { allow } = require('../../resources/iam.cjs');

module.exports = () =>
  policy().activity.readers.some(({ tags }) => Object.keys(tags).length > 0)
    ? {
        Resources: {
          AnswerReaders: {
            Type: 'AWS::IAM::Policy',
            Properties: {
              PolicyName: 'readers',
              Roles: [{ Ref: 'AnswerRole' }],
              PolicyDocument: { Version: '2012-10-17', Statement: [allow('tag:GetResources', '*')] },
            },
          },
        },
      }
    : {};
