/** `npm run schema`: writes docs/steward.schema.json, by which editors know steward.yml. */
import { writeFileSync } from 'node:fs';
import { remediations } from '../shared/remediations/index.ts';
import { policyJsonSchema } from './policy.ts';

writeFileSync(
  new URL('../docs/steward.schema.json', import.meta.url),
  `${JSON.stringify(policyJsonSchema(remediations), null, 2)}\n`,
);
