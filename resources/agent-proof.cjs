/** Where the CloudWatch agents prove that logs arrive: a log group, and the schedule by which hosts write a line that must come. State Manager runs it, so that nothing of ours stays on a host. */
const { policy } = require('./from-source.cjs');
const { LOCAL } = require('./local.cjs');

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) => {
    const { BEAT_MINUTES, proofGroup } = require('../shared/core/agents.ts');
    const group = {
      Type: 'AWS::Logs::LogGroup',
      Properties: { LogGroupName: proofGroup(stage), RetentionInDays: 1 },
    };
    const { scope, tags, remediations } = policy();
    const own = remediations['log-agent-silent'];
    const isProven = own.mode !== 'off' && own.options.proveLogs !== 'off';
    if (stage === LOCAL || !isProven) return { Resources: { AgentProofLogGroup: group } };
    // A host whose agent does not ship our file is left as it is by the document.
    const targets =
      scope === 'tagged' ? [{ Key: `tag:${tags.managed}`, Values: ['true'] }] : [{ Key: 'InstanceIds', Values: ['*'] }];
    return {
      Resources: {
        AgentProofLogGroup: group,
        AgentBeatAssociation: {
          Type: 'AWS::SSM::Association',
          Properties: {
            AssociationName: `steward-${stage}-beat-agent`,
            Name: { Ref: 'BeatAgentDocument' },
            Targets: targets,
            ScheduleExpression: `rate(${BEAT_MINUTES} minutes)`,
            MaxConcurrency: '10%',
            MaxErrors: '100%',
          },
        },
      },
    };
  });
