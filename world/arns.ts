/** Names of things, as IAM and the events write them. */
type Place = { readonly region: string; readonly account: string };

export const instanceArn = ({ region, account }: Place, id: string) =>
  `arn:aws:ec2:${region}:${account}:instance/${id}`;
export const volumeArn = ({ region, account }: Place, id: string) => `arn:aws:ec2:${region}:${account}:volume/${id}`;
export const alarmArn = ({ region, account }: Place, name: string) =>
  `arn:aws:cloudwatch:${region}:${account}:alarm:${name}`;

export const logGroupArn = ({ region, account }: Place, name: string) =>
  `arn:aws:logs:${region}:${account}:log-group:${name}`;
export const vpcArn = ({ region, account }: Place, id: string) => `arn:aws:ec2:${region}:${account}:vpc/${id}`;
export const flowLogArn = ({ region, account }: Place, id: string) =>
  `arn:aws:ec2:${region}:${account}:vpc-flow-log/${id}`;

/** Documents of AWS itself have no account in their ARN. */
export const documentArn = ({ region, account }: Place, name: string) =>
  name.startsWith('arn:')
    ? name
    : `arn:aws:ssm:${region}:${/^(AWS|Amazon)-/.test(name) ? '' : account}:document/${name}`;

/** A name like `/a/b` has no second slash in its ARN. */
export const parameterArn = ({ region, account }: Place, name: string) =>
  name.startsWith('arn:') ? name : `arn:aws:ssm:${region}:${account}:parameter/${name.replace(/^\//, '')}`;
