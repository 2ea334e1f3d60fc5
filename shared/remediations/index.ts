/** Every remediation there is. Adding one is its file, its story test, its sample event and one line here. */
import type { Remediation } from '../core/remediation.ts';
import { drill } from './drill.ts';
import { flowLogsMissing } from './flowLogsMissing.ts';
import { fullDisk } from './fullDisk.ts';
import { logGroupWeakened } from './logGroupWeakened.ts';

export const remediations: readonly Remediation[] = [fullDisk, logGroupWeakened, flowLogsMissing, drill];
