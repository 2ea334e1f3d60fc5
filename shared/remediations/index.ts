/** Every remediation there is. Adding one is its file, its story test, its sample event and one line here. */
import type { Remediation } from '../core/remediation.ts';
import { channelSilent } from './channelSilent.ts';
import { clusterGone } from './clusterGone.ts';
import { cpuExhausted } from './cpuExhausted.ts';
import { drill } from './drill.ts';
import { ecsAgentDisconnected } from './ecsAgentDisconnected.ts';
import { flowLogsMissing } from './flowLogsMissing.ts';
import { fullDisk } from './fullDisk.ts';
import { groupUneven } from './groupUneven.ts';
import { instanceImpaired } from './instanceImpaired.ts';
import { logAgentSilent } from './logAgentSilent.ts';
import { logGroupWeakened } from './logGroupWeakened.ts';
import { memoryExhausted } from './memoryExhausted.ts';
import { overload } from './overload.ts';
import { registryExposed } from './registryExposed.ts';
import { releaseUnkept } from './releaseUnkept.ts';
import { releaseUnproven } from './releaseUnproven.ts';
import { serviceFailing } from './serviceFailing.ts';
import { serviceGone } from './serviceGone.ts';
import { serviceUneven } from './serviceUneven.ts';
import { trailStopped, trailWeakened } from './trail.ts';
import { trailUndelivered } from './trailUndelivered.ts';
import { unwatchedInstance } from './unwatchedInstance.ts';
import { webFlooded } from './webFlooded.ts';
import { zoneImpaired } from './zoneImpaired.ts';

export const remediations: readonly Remediation[] = [
  fullDisk,
  instanceImpaired,
  memoryExhausted,
  cpuExhausted,
  ecsAgentDisconnected,
  serviceFailing,
  serviceUneven,
  releaseUnproven,
  serviceGone,
  clusterGone,
  overload,
  webFlooded,
  groupUneven,
  zoneImpaired,
  unwatchedInstance,
  logAgentSilent,
  trailStopped,
  trailWeakened,
  trailUndelivered,
  logGroupWeakened,
  registryExposed,
  releaseUnkept,
  flowLogsMissing,
  channelSilent,
  drill,
];
