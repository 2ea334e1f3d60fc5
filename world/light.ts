/** An SDK client that is given commands and never sends a request needs none of what its constructor prepares for one: nine tenths of its cost. */
interface Config {
  readonly requestHandler?: { readonly command?: unknown };
  readonly region?: unknown;
  readonly credentials?: unknown;
  readonly maxAttempts?: number;
}
type ClientClass = new (config: Config) => object;

/** The same class, whose instances are light where their transport takes commands (direct.ts). */
export const light = (Client: ClientClass): ClientClass =>
  new Proxy(Client, {
    construct: (Whole, [config]: [Config]) => {
      if (config.requestHandler?.command === undefined) return new Whole(config);
      const { requestHandler, credentials, region, maxAttempts = 3 } = config;
      const given = {
        requestHandler,
        credentials: async () => credentials,
        region: async () => region,
        maxAttempts: async () => maxAttempts,
      };
      return Object.assign(Object.create(Whole.prototype), { config: given });
    },
  });
