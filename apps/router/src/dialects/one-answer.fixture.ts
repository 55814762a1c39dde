import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startTestRouter } from '../router.fixture.js';

export interface OneAnswer {
  /** Of the answer the backend gives, whatever it is asked. */
  readonly type: 'text/event-stream' | 'application/json';
  readonly body: string;
  /** Of the backend, besides its URL. */
  readonly settings?: object;
}

/** What a client receives that asks a router before such a backend. */
export async function answerTo(
  path: string,
  asked: object,
  { type, body, settings = {} }: OneAnswer,
): Promise<string> {
  const upstream = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': type }).end(body);
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const { port } = upstream.address() as AddressInfo;
  const backends = { main: { url: `http://127.0.0.1:${port}/v1`, ...settings } };
  const router = await startTestRouter({ router: { backends } });
  try {
    const answer = await fetch(router.url + path, { method: 'POST', body: JSON.stringify(asked) });
    return await answer.text();
  } finally {
    await router.stop();
    upstream.closeAllConnections();
    upstream.close();
    await once(upstream, 'close');
  }
}
