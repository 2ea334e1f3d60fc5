/** The events that AWS puts on the default bus. AWS calls most of them best effort: they may be lost, doubled or late here too. */
import type { Clock } from './clock.ts';
import { type Random, streamsOf } from './random.ts';

export type AwsEvent = {
  version: '0';
  id: string;
  'detail-type': string;
  source: string;
  account: string;
  time: string;
  region: string;
  resources: string[];
  detail: Record<string, unknown>;
};

export type EventBus = {
  /** Chances of loss and of a second copy; each copy is late by up to `delayMs`. Alarm events are dependable and never lost. */
  readonly trouble: { loss: number; duplicate: number; delayMs: number };
  /** Every event, lost ones too, in order. */
  readonly sent: AwsEvent[];
  listen(listener: (event: AwsEvent) => void): () => void;
  emit(event: { source: string; detailType: string; resources: string[]; detail: Record<string, unknown> }): void;
};

/** AWS's documentation of delivery: CloudWatch's events are guaranteed, EC2's, EBS's and SSM's are best effort. */
const DEPENDABLE = new Set(['aws.cloudwatch']);

/** EventBridge's `time` has full seconds. */
const inSeconds = (time: number) => `${new Date(time).toISOString().slice(0, 19)}Z`;

type Options = { clock: Clock; random: Random; account: string; region: string };

export const createEventBus = ({ clock, random, account, region }: Options): EventBus => {
  const listeners = new Set<(event: AwsEvent) => void>();
  const trouble = { loss: 0, duplicate: 0, delayMs: 0 };
  const sent: AwsEvent[] = [];
  const fates = streamsOf(random);
  const deliver = (event: AwsEvent, fate: Random) => {
    const give = () => {
      for (const listener of listeners) listener(structuredClone(event));
    };
    if (trouble.delayMs > 0) clock.at(clock.now() + fate.integer(trouble.delayMs), give);
    else give();
  };
  return {
    trouble,
    sent,
    listen: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    emit: ({ source, detailType, resources, detail }) => {
      const event: AwsEvent = {
        version: '0',
        id: random.uuid(),
        'detail-type': detailType,
        source,
        account,
        time: inSeconds(clock.now()),
        region,
        resources,
        detail,
      };
      sent.push(event);
      const fate = fates(`${source} ${detailType} ${resources}`);
      if (DEPENDABLE.has(source) || !fate.chance(trouble.loss)) deliver(event, fate);
      if (fate.chance(trouble.duplicate)) deliver(event, fate);
    },
  };
};
