import { loadConfig } from '../../shared/runtime/config.ts';
import { telemetry } from '../../shared/runtime/lambda.ts';
import { wire } from '../../shared/runtime/wire.ts';
import { makeHandler } from './handler.ts';

const config = loadConfig();
export const handler = makeHandler(wire(config), telemetry(config.stage));
