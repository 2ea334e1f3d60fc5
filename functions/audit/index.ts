import { auditor, checkpointer, copier, hostWatcher } from '../../shared/runtime/activity.ts';
import { loadAuditConfig } from '../../shared/runtime/config.ts';
import { telemetry } from '../../shared/runtime/lambda.ts';
import { makeHandler } from './handler.ts';

const config = loadAuditConfig();
export const handler = makeHandler(
  {
    checkpoint: checkpointer(config),
    copy: copier(config),
    audit: auditor(config),
    watch: hostWatcher(config),
    now: () => Date.now(),
  },
  telemetry(config.stage),
);
