/** Options of steward.yml: each with its default and the sentence that the JSON Schema, the editor and the docs say about it. */
import * as z from 'zod/mini';

export const said = <S extends z.ZodMiniType>(schema: S, description: string): S => {
  z.globalRegistry.add(schema, { description });
  return schema;
};
/** A field with a default. */
export const option = <S extends z.ZodMiniType>(
  schema: S,
  value: z.output<S> & z.core.util.NoUndefined<z.output<S>>,
  description: string,
) => said(z._default(schema, value), description);
