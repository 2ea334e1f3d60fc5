import { loadAuditConfig } from '../../shared/runtime/config.ts';
import { telemetry } from '../../shared/runtime/lambda.ts';
import { activityRetention } from '../../shared/runtime/retention.ts';
import { makeHandler } from './handler.ts';

const config = loadAuditConfig();
export const handler = makeHandler(activityRetention(config), telemetry(config.stage));
