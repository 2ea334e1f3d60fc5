/** An SDK request handler that sends every call to one address, whatever service it is for; and can fail on purpose. */
import { Agent, request as send } from 'node:http';

interface Request {
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | string[]>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}
export interface Answer {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}
export interface Transport {
  handle(request: Request): Promise<{ response: Answer }>;
  readonly sent: Request[];
  /** Answers the next calls instead of the other side, in order; an Error is thrown, as by a broken connection. */
  readonly instead: (Answer | Error)[];
}

const agent = new Agent({ keepAlive: true, maxSockets: 40 });

const query = (from: Request['query']): string => {
  const form = new URLSearchParams();
  for (const [key, values] of Object.entries(from ?? {})) for (const value of [values].flat()) form.append(key, value);
  return form.size > 0 ? `?${form}` : '';
};

const forward = (url: string, { method, path, query: q, headers, body }: Request): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const outgoing = send(url + path + query(q), { method, headers, agent }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => void chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () => {
        const kept = Object.entries(incoming.headers).map(([k, v]) => [k, String(v)]);
        resolve({
          statusCode: incoming.statusCode ?? 0,
          headers: Object.fromEntries(kept),
          body: new Uint8Array(Buffer.concat(chunks)),
        });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });

export const transportTo = (url: string): Transport & object => {
  const sent: Request[] = [];
  const instead: (Answer | Error)[] = [];
  return {
    sent,
    instead,
    handle: async (request) => {
      sent.push(request);
      const other = instead.shift();
      if (other instanceof Error) throw other;
      return { response: other ?? (await forward(url, request)) };
    },
    ...{ updateHttpClientConfig: () => {}, httpHandlerConfigs: () => ({}), destroy: () => {} },
  };
};

/** What AWS answers to a JSON service's call that it declines. */
export const jsonError = (code: string, status = 400, message = `${code} on purpose`, more: object = {}): Answer => ({
  statusCode: status,
  headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-errortype': code },
  body: new TextEncoder().encode(JSON.stringify({ __type: code, message, ...more })),
});
