/** The statement by which heal and sweep may take the remediations' roles: of this account, and of those that the policy names. */
const { policy } = require('./from-source.cjs');

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) => ({
    Effect: 'Allow',
    Action: ['sts:AssumeRole'],
    Resource: [{ Ref: 'AWS::AccountId' }, ...policy().accounts].map((account) => ({
      'Fn::Sub': [`arn:\${AWS::Partition}:iam::\${Account}:role/steward-${stage}-remedy-*`, { Account: account }],
    })),
  }));
