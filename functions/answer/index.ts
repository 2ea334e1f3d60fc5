import { awsEstate } from '../../shared/aws/estate.ts';
import { identify } from '../../shared/aws/identity.ts';
import { ssmParameters } from '../../shared/aws/parameters.ts';
import { loadConfig } from '../../shared/runtime/config.ts';
import { telemetry } from '../../shared/runtime/lambda.ts';
import { wire } from '../../shared/runtime/wire.ts';
import { makeHandler } from './handler.ts';

const config = loadConfig();
const { stage, region, account: home, queueUrl } = config;
export const handler = makeHandler(
  {
    ...wire(config),
    stage,
    region,
    identify: (proof, expected) => identify(proof, expected, { home }),
    estate: awsEstate({ region, queueUrl }),
    parameters: ssmParameters({ region }),
  },
  telemetry(stage),
);
