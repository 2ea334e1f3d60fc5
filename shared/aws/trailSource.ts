/** CloudTrail as the auditor needs it: which trails there are, whose keys sign their digests, and what LookupEvents remembers. */
import {
  type Trail as AwsTrail,
  CloudTrailClient,
  DescribeTrailsCommand,
  GetEventSelectorsCommand,
  GetTrailStatusCommand,
  ListPublicKeysCommand,
  LookupEventsCommand,
} from '@aws-sdk/client-cloudtrail';
import type { TrailSource } from '../activity/audit.ts';
import type { DigestKey } from '../activity/digest.ts';
import type { TrailInUse } from '../activity/trailLayout.ts';
import { Forbidden, undefinedIfGone } from '../core/errors.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';
import { trailFiles } from './trailFiles.ts';
import { recordsManagement } from './trails.ts';

const timeOf = <K extends string>(key: K, at: Date | undefined) =>
  (at ? { [key]: at.getTime() } : {}) as { [k in K]?: number };

/** Undefined: its description lacks what every trail has. */
const settingsOf = ({
  Name: name,
  S3BucketName: bucket,
  HomeRegion: home,
  S3KeyPrefix: prefix,
  ...t
}: AwsTrail): Omit<TrailInUse, 'logging'> | undefined =>
  name && bucket && home
    ? {
        name,
        home,
        bucket,
        ...(prefix ? { prefix } : {}),
        organization: t.IsOrganizationTrail === true,
        multiRegion: t.IsMultiRegionTrail === true,
        validation: t.LogFileValidationEnabled === true,
      }
    : undefined;

export const trailSource = (options: ClientOptions): TrailSource => {
  const clients = new Map<string, CloudTrailClient>();
  const clientIn = (region: string): CloudTrailClient => {
    const client = clients.get(region) ?? new CloudTrailClient(clientConfig({ ...options, region }, 3));
    clients.set(region, client);
    return client;
  };

  /** Asked in its home region; none: it is gone by now, or records no management events. */
  const inUse = async (t: AwsTrail): Promise<TrailInUse[]> => {
    const settings = settingsOf(t);
    if (!settings) return [];
    const client = clientIn(settings.home);
    const asked = { look: `cannot look at ${t.TrailARN}`, name: t.TrailARN };
    const [status, selects] = await Promise.all([
      calling(asked.look, () => client.send(new GetTrailStatusCommand({ Name: asked.name }))).catch(undefinedIfGone),
      calling(asked.look, () => client.send(new GetEventSelectorsCommand({ TrailName: asked.name })))
        .catch(undefinedIfGone)
        .then(
          (selectors) => selectors && recordsManagement(selectors),
          // An organisation's trail does not tell its members what it selects.
          (e: unknown) => {
            if (e instanceof Forbidden && settings.organization) return true;
            throw e;
          },
        ),
    ]);
    if (!(status && selects)) return [];
    return [
      {
        ...settings,
        logging: status.IsLogging === true,
        ...timeOf('startedAt', status.StartLoggingTime),
        ...timeOf('stoppedAt', status.StopLoggingTime),
      },
    ];
  };

  /** Of the region: each has its own. */
  async function* keysIn(region: string, range: { StartTime: Date; EndTime: Date }): AsyncGenerator<DigestKey> {
    let NextToken: string | undefined;
    do {
      const page = await clientIn(region).send(
        new ListPublicKeysCommand({ ...range, ...(NextToken ? { NextToken } : {}) }),
      );
      for (const { Fingerprint: fingerprint, Value: der } of page.PublicKeyList ?? [])
        if (fingerprint && der) yield { fingerprint, der };
      NextToken = page.NextToken;
    } while (NextToken);
  }

  return {
    trails: async () => {
      // With those whose home is another region, or the organisation's account.
      const { trailList = [] } = await calling('cannot list the trails', () =>
        clientIn(options.region).send(new DescribeTrailsCommand({ includeShadowTrails: true })),
      );
      return (await Promise.all(trailList.map(inUse))).flat();
    },
    files: ({ bucket }) => trailFiles({ ...options, bucket }),
    keys: (region, { from, to }) =>
      calling(`cannot ask for the keys of the digests of ${region}`, async () => {
        const keys: DigestKey[] = [];
        for await (const key of keysIn(region, { StartTime: new Date(from), EndTime: new Date(to) })) keys.push(key);
        return keys;
      }),
    lookup: ({ from, to }, token) =>
      calling('cannot look up events', async () => {
        const { Events = [], NextToken } = await clientIn(options.region).send(
          new LookupEventsCommand({
            StartTime: new Date(from),
            EndTime: new Date(to),
            MaxResults: 50,
            ...(token ? { NextToken: token } : {}),
          }),
        );
        const events = Events.flatMap(({ CloudTrailEvent, EventTime }) =>
          CloudTrailEvent ? [{ raw: Buffer.from(CloudTrailEvent), at: EventTime?.getTime() ?? to }] : [],
        );
        return { events, ...(NextToken ? { next: NextToken } : {}) };
      }),
  };
};
