/** The public door of a whole account on a fake clock, and those who stand before it: holders of links, mail scanners, Slack, and whoever tries. */
import { createHmac } from 'node:crypto';
import { kmsMac } from '../../shared/aws/macs.ts';
import { minutes } from '../../shared/core/time.ts';
import { answerHttp } from '../../shared/runtime/links/door.ts';
import type { Answered } from '../../shared/runtime/links/http.ts';
import { type MintDeps, SNOOZE_BY_LINK } from '../../shared/runtime/links/mint.ts';
import type { SlackMessage } from '../../shared/runtime/links/slack.ts';
import { breakDisk } from '../../world/fleet.ts';
import { addUser } from '../../world/iam.ts';
import { requestHandler } from '../../world/wire.ts';
import { createDesk } from '../cli/desk.ts';

export { SNOOZE_BY_LINK };
export const GiB = 2 ** 30;
const SECRET = 'a signing secret of Slack';
export const arnOf = (name: string) => `arn:aws:iam::123456789012:user/${name}`;
const EVERYTHING = ['approve', 'deny', 'snooze', 'undo'];

export const LINKS = {
  recipients: [
    ...['alice', 'bob', 'carol'].map((name) => ({ name, is: [`arn:aws:iam::*:user/${name}`], may: EVERYTHING })),
    // A list, or a person whom the policy does not tie to an identity of IAM.
    { name: 'on-call' },
    { name: 'careful', is: ['arn:aws:iam::*:user/careful'], upTo: 'harmless' },
  ],
  slack: { signingSecret: '/steward/slack', team: 'T1', people: { U1: 'alice', U2: 'bob', U3: 'on-call' } },
};

export interface PressOptions {
  readonly team?: string;
  /** Seconds that the stamp is behind. */
  readonly late?: number;
  readonly secret?: string;
  /** After it was signed. */
  readonly forge?: (body: string) => string;
}

export const createDoor = (policy: object = {}) => {
  const desk = createDesk({ policy: { links: LINKS, ...policy } });
  const { account } = desk;
  const { store, deps } = account;
  const now = () => account.clock.now();
  // As the stack has it: who makes links cannot judge them, and the door cannot make any.
  const may = (name: string, Action: string) => ({
    region: account.world.region,
    transport: requestHandler(account.world),
    credentials: addUser(account.world, name, [{ Statement: [{ Effect: 'Allow', Action, Resource: desk.linkKey }] }]),
  });
  const judge = kmsMac(may('link', 'kms:VerifyMac'), desk.linkKey);
  const maker = kmsMac(may('announce', 'kms:GenerateMac'), desk.linkKey);
  const heard: { url: string; message: SlackMessage }[] = [];
  const door = {
    stage: 'test',
    policy: deps.policy,
    mac: judge,
    store,
    now,
    newId: deps.newId,
    slack: {
      secret: async () => SECRET,
      say: async (url: string, message: SlackMessage) => void heard.push({ url, message }),
    },
  };
  const mint: MintDeps = { mac: maker, url: 'https://door.example/', stage: 'test', policy: deps.policy, now };
  const ask = (method: string, path: string, query: string, body = '', headers: Record<string, string> = {}) =>
    answerHttp({ method, path, query, headers, body }, door);

  const open = (url: string, method = 'GET'): Promise<Answered> => {
    const { pathname, search } = new URL(url);
    return ask(method, pathname, search.slice(1));
  };
  const post = (token: string, why = ''): Promise<Answered> =>
    ask('POST', '/', '', `${new URLSearchParams({ t: token, why })}`, {
      'content-type': 'application/x-www-form-urlencoded',
    });
  const press = (user: string, value: string, { team = 'T1', late = 0, secret = SECRET, forge }: PressOptions = {}) => {
    const payload = {
      type: 'block_actions',
      team: { id: team },
      user: { id: user },
      actions: [{ value }],
      response_url: 'https://hooks.slack.com/actions/T1/1/x',
    };
    const body = `${new URLSearchParams({ payload: JSON.stringify(payload) })}`;
    const stamp = `${Math.floor(now() / 1000) - late}`;
    const signature = `v0=${createHmac('sha256', secret).update(`v0:${stamp}:${body}`).digest('hex')}`;
    return ask('POST', '/slack', '', forge ? forge(body) : body, {
      'x-slack-request-timestamp': stamp,
      'x-slack-signature': signature,
    });
  };
  /** The links that the CLI prints, by label. */
  const link = async (by: string, incident: string, to: string): Promise<Readonly<Record<string, string>>> => {
    const { code, json } = await desk.steward(by)('link', incident, '--for', to, '--json');
    if (code !== 0) throw new Error(json.error.message);
    return Object.fromEntries(json.links.map((l: { label: string; url: string }) => [l.label, l.url]));
  };
  return { ...desk, judge, maker, door, mint, ask, open, post, press, link, heard, now };
};
export type Door = ReturnType<typeof createDoor>;
export const tokenOf = (url: string | undefined): string => new URL(url ?? '').searchParams.get('t') ?? '';

/** A disk is full, and Steward asks whether it may clean it; where little can be cleaned, whether it may grow it. */
export const asked = async (policy: object = {}, cleanableGiB = 3) => {
  const s = createDoor({ remediations: { 'full-disk': { mode: 'ask' } }, ...policy });
  const host = s.account.fleet.web[0]?.id ?? '';
  await s.account.run(minutes(4));
  const fill = (usedPercent: number, cleanable: number) =>
    breakDisk(s.account.world, host, { path: '/', usedPercent, cleanableBytes: cleanable * GiB });
  fill(90, cleanableGiB);
  const incident = () => s.account.incidentOf(host);
  const until = (state: string, ms = minutes(30)) => s.account.run(ms, () => incident()?.state === state);
  await until('asking');
  return { ...s, host, fill, incident, until, id: incident()?.id ?? '' };
};
/** The drill, which alice asked for and which somebody must allow. */
export const drilled = async () => {
  const s = createDoor({ remediations: { drill: { mode: 'ask' } } });
  const { json } = await s.steward('alice')('doctor', '--json');
  const id = json.incident as string;
  const incident = () => s.account.incidents().find((i) => i.id === id);
  return { ...s, id, incident };
};
