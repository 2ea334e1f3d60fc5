/** The activity bucket takes and gives nothing in clear. Not in stage `local`: the emulator speaks http, and would be shut out. */
const { attribute } = require('./iam.cjs');
const { LOCAL } = require('./local.cjs');

const BUCKET = attribute('ActivityBucket', 'Arn');
const CLEAR = {
  Sid: 'EncryptedTransportOnly',
  Effect: 'Deny',
  Principal: '*',
  Action: 's3:*',
  Resource: [BUCKET, { 'Fn::Join': ['/', [BUCKET, '*']] }],
  Condition: { Bool: { 'aws:SecureTransport': 'false' } },
};

module.exports = async ({ resolveVariable }) =>
  (await resolveVariable('sls:stage')) === LOCAL
    ? {}
    : {
        Resources: {
          ActivityBucketPolicy: {
            Type: 'AWS::S3::BucketPolicy',
            DeletionPolicy: 'Retain',
            Properties: {
              Bucket: { Ref: 'ActivityBucket' },
              PolicyDocument: { Version: '2012-10-17', Statement: [CLEAR] },
            },
          },
        },
      };
