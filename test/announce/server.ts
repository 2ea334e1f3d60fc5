/** An HTTP server on this machine that answers as it is told, and keeps what came. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Came {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever was posted
  readonly json: any;
}
export interface Says {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  /** The request took effect; the connection breaks before its answer. */
  readonly lost?: true;
  /** It never answers. */
  readonly silent?: true;
}

export const startServer = async (answer: (came: Came) => Says) => {
  const came: Came[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const { pathname, searchParams } = new URL(`http://x${request.url}`);
      const one: Came = {
        method: request.method ?? '',
        path: pathname,
        query: searchParams,
        headers: request.headers,
        body,
        json: body.startsWith('{') ? JSON.parse(body) : undefined,
      };
      came.push(one);
      const { status = 200, headers = {}, json, lost, silent } = answer(one);
      if (silent) return;
      if (lost) {
        request.socket.destroy();
        return;
      }
      response.writeHead(status, headers).end(json === undefined ? '' : JSON.stringify(json));
    });
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    came,
    stop: () => {
      server.closeAllConnections();
      return new Promise((done) => server.close(done));
    },
  };
};
