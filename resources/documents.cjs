/** The host documents, under names that carry the stage. A new version replaces the old one in place: its content is in the name of no one else. */
const { logicalId } = require('./from-source.cjs');
const { LOCAL } = require('./local.cjs');

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) => {
    if (stage === LOCAL) return { Resources: {} };
    const { documents } = require('../documents/index.ts');
    const resource = ({ name, content }) => ({
      Type: 'AWS::SSM::Document',
      Properties: {
        Name: `steward-${stage}-${name}`,
        DocumentType: 'Command',
        DocumentFormat: 'JSON',
        TargetType: '/AWS::EC2::Instance',
        UpdateMethod: 'NewVersion',
        Content: content,
      },
    });
    return {
      Resources: Object.fromEntries(documents.map((d) => [`${logicalId(d.name)}Document`, resource(d)])),
    };
  });
