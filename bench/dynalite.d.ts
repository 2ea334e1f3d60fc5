/** DynamoDB in Node, over LevelDB: npm `dynalite`, which brings no types. */
declare module 'dynalite' {
  import type { Server } from 'node:http';

  /** @param options milliseconds that a table takes to be made */
  const dynalite: (options: { readonly createTableMs: number }) => Server;

  export = dynalite;
}
