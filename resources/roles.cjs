/** One role for each remediation, generated from what it declares. Each pass assumes it narrowed to one target (shared/aws/sessions.ts). */
const { logicalId, policy, remediations, rolePolicy } = require('./from-source.cjs');

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) => {
    const { scope, tags } = policy();
    const role = (r) => ({
      Type: 'AWS::IAM::Role',
      Properties: {
        RoleName: `steward-${stage}-remedy-${r.name}`,
        Description: `Steward ${r.title}`.slice(0, 1000),
        MaxSessionDuration: 3600,
        AssumeRolePolicyDocument: {
          Version: '2012-10-17',
          Statement: [
            {
              Effect: 'Allow',
              Principal: {
                AWS: ['Heal', 'Sweep', 'Answer'].map((f) => ({ 'Fn::GetAtt': [`${f}Role`, 'Arn'] })),
              },
              Action: 'sts:AssumeRole',
            },
          ],
        },
        Policies: [
          {
            PolicyName: 'declared',
            PolicyDocument: rolePolicy(r.permissions, {
              stage,
              ...(scope === 'tagged' ? { optInTag: tags.managed } : {}),
            }),
          },
        ],
      },
    });
    return { Resources: Object.fromEntries(remediations.map((r) => [`Remedy${logicalId(r.name)}Role`, role(r)])) };
  });
