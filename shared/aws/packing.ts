/**
 * An incident's reasons are words, and words repeat: kept as text, a whole one costs twice the write units. It is stored as one deflated attribute
 * (RFC 1951, any zlib reads it), beside the few attributes that indexes and people at the console need.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Incident } from '../core/incident.ts';

/**
 * What nearly every incident says, for deflate to refer to; the most frequent last. Part of schema 1: what was written with it can be read only with it,
 * so it never changes; another one is another schema.
 */
const DICTIONARY = Buffer.from(
  [
    '"undoWanted":{"by":"arn:aws:sts::"approval":{"by":"denied":{"step":"askedBy":"blindSince":"escalatedAt":"remedy":"',
    'it cannot be seen: a person must approve it: to allow it: wait until is healthy, or raise remediations.full-disk.budget',
    'refused to The clean-up of . What to do: {"at":,"what":"refused","say":"{"at":,"what":"escalated","say":"{"at":,"what":"waiting","say":"',
    'the host is at work on it"steward:ignore" under repair, allowed ( %, at most ) Threshold Crossed: 2 out of the last 3 datapoints [',
    ')] were greater than the threshold (minimum 2 datapoints for OK -> ALARM transition).alarm went to ALARM: ',
    '"minAgeHours":24,"journalMiB":512,"expectBytes":"do":"clean","rung":"clean /"continues":true,"do":"grow-filesystem","path":"/","deviceBytes":',
    '"receipt":{"commandId":"grow the ext4 file system of into its device; the volume has grown, the file system not yet',
    '"before":{"availableBytes":,"sizeBytes":,"usedInodes":"do":"grow-volume","path":"/","volume":"vol-"toGiB":"receipt":{"volume":"',
    'grow vol- under / from to GiB, because is % full, and little can be cleaned is % full (ext4, GiB, vol-(xfs, ',
    '"lastEventId":"arn:aws:cloudwatch:eu-central-1::alarm:","signals":{"count":1,"kind":"disk.space-low","cause":"alarm ',
    '"firstAt":,"lastAt":"looks":"attempts":[{"n":1,"rung":"grow /"step":{"plan":"because":"token":"reservedAt":',
    '"outcome":{"kind":"done","at":,"because":"it was taken; a later look tells whether it helped"},"effect":"effective"},{"n":2,"rung":"',
    '"log":[{"at":,"what":"signal","say":"alarm {"at":,"what":"seen","say":"{"at":,"what":"reserved","say":"attempt 1: ',
    '{"at":,"what":"outcome","say":"attempt ): it was taken; a later look tells whether it helped"},{"at":,"what":"effect","say":"attempt ) was effective"},',
    '{"at":,"what":"guards","say":"switch: nothing is paused · scope: it carries steward:managed=true · mode: the policy lets full-disk act · age: the signal was ',
    '0 s old when it came · window: no freeze · attempts: it finishes the attempt before it · attempts: attempt 1 of 3 in 24 h · budget: 0 of 5 in asg/web under repair, 1 allowed',
    ' · breaker: it finishes what is under way · breaker: no storm in its group · cost: it costs nothing · cost: $0.95 a month for 10 GiB of gp3; $',
    ' added this month, $100 allowed · lease: no one else is at work on it"},',
    '"dueAt":,"seen":"/ %, / % used, under the limit of 80 %","group":"asg/"groupSize":"actedAt":"end":"healthy","healthyAt":"closedAt":',
    '{"at":,"what":"closed","say":"healthy: ","because":"',
  ].join(''),
  'utf8',
);

/** What stays in the open: indexes, pointers and the console read it. */
type Open = Pick<Incident, 'kind' | 'id' | 'target' | 'remediation' | 'state' | 'openedAt' | 'zone'>;

export const packed = (incident: Incident): Open & { body: Uint8Array } => {
  const { kind, id, version: _, target, remediation, state, openedAt, zone, ...rest } = incident;
  const body = deflateRawSync(Buffer.from(JSON.stringify(rest), 'utf8'), { dictionary: DICTIONARY, level: 9 });
  return { kind, id, target, remediation, state, openedAt, ...(zone === undefined ? {} : { zone }), body };
};

/** @throws if the bytes were not written by `packed` */
export const unpacked = (body: Uint8Array): object =>
  JSON.parse(inflateRawSync(body, { dictionary: DICTIONARY }).toString('utf8'));
