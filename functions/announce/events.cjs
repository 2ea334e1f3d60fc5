/** Without channels, no events: the function is never invoked and costs nothing. */
const { channels } = require('../../resources/channels.cjs');

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) =>
    channels(stage).length === 0
      ? []
      : [
          {
            stream: {
              type: 'dynamodb',
              arn: { 'Fn::GetAtt': ['StateTable', 'StreamArn'] },
              startingPosition: 'LATEST',
              batchSize: 100,
              bisectBatchOnFunctionError: true,
              functionResponseType: 'ReportBatchItemFailures',
              // The stream keeps its records for 24 hours; what is given up before is found by the schedule within 15 minutes.
              maximumRetryAttempts: 50,
              destinations: { onFailure: { type: 'sqs', arn: { 'Fn::GetAtt': ['DeadLetters', 'Arn'] } } },
              filterPatterns: [{ dynamodb: { Keys: { sk: { S: [{ prefix: 'INCIDENT#' }] } } } }],
            },
          },
          { schedule: 'rate(1 minute)' },
        ],
  );
