/** What a function that makes links is told: the key, and where the door is. */
const { policy } = require('../../resources/from-source.cjs');

module.exports = () =>
  policy().links
    ? {
        STEWARD_LINK_KEY: { 'Fn::GetAtt': ['LinkKey', 'Arn'] },
        STEWARD_LINK_URL: { 'Fn::GetAtt': ['LinkLambdaFunctionUrl', 'FunctionUrl'] },
      }
    : {};
