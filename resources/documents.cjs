/** The host documents, under names that carry the stage. A new version replaces the old one in place: its content is in the name of no one else. */
const { logicalId, policy } = require('./from-source.cjs');
const { LOCAL } = require('./local.cjs');

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) => {
    if (stage === LOCAL) return { Resources: {} };
    const { documents } = require('../documents/index.ts');
    // A shell's ${…} is none of serverless's variables.
    const literal = (content) => JSON.parse(JSON.stringify(content).replaceAll('${', '\\\\${'));
    const resource = ({ name, content }) => ({
      Type: 'AWS::SSM::Document',
      Properties: {
        Name: `steward-${stage}-${name}`,
        DocumentType: 'Command',
        DocumentFormat: 'JSON',
        TargetType: '/AWS::EC2::Instance',
        UpdateMethod: 'NewVersion',
        Content: literal(content),
      },
    });
    const isWanted = ({ name }) => name !== 'watch-host' || policy().activity.hosts !== 'off';
    return {
      Resources: Object.fromEntries(
        documents.filter(isWanted).map((d) => [`${logicalId(d.name)}Document`, resource(d)]),
      ),
    };
  });
