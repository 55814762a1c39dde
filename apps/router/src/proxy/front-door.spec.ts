import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { Metrics } from '@sanctum/service-kit';
import { Refusals } from '../audit/refusals.js';
import { RouterMetrics } from '../metrics.js';
import { openFrontDoor } from './front-door.js';
import type { ProxyContext } from './proxy-context.js';

const TOKEN = 'f'.repeat(64);

/** What a door needs before it lets anybody in; a refused request touches nothing else. */
const notes: [string, object][] = [];
const silent = (): void => undefined;
const log = { debug: silent, info: silent, warn: silent, error: silent };
const audit = { note: (event: string, data: object) => void notes.push([event, data]) };
const registered = new Metrics('sanctum_router_');
const CONTEXT = {
  access: { token: TOKEN, disabled: false },
  instance: 'test',
  metrics: new RouterMetrics(registered, () => 0),
  refusals: new Refusals({ audit, log }),
} as ProxyContext;

interface Stranger {
  readonly url: string;
  readonly reached: readonly string[];
  readonly close: () => Promise<void>;
}

/** A front door that sees every connection come from another machine. */
async function seenFromAfar(): Promise<Stranger> {
  const reached: string[] = [];
  const door = openFrontDoor(CONTEXT, (request, response) => {
    reached.push(request.url ?? '');
    response.end();
  });
  const server = createServer(door);
  server.on('connection', (socket) => {
    Object.defineProperty(socket, 'remoteAddress', { value: '100.64.0.7' });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { url: `http://127.0.0.1:${port}`, reached, close };
}

describe('the front door', () => {
  it.each(['/health', '/metrics', '/v1/models', '/v1/chat/completions'])(
    'refuses strangers at %s, whatever they forward',
    async (path) => {
      const { url, reached, close } = await seenFromAfar();
      const answer = await fetch(url + path, {
        headers: { 'x-forwarded-for': '127.0.0.1', 'x-request-id': 'a1' },
      });
      expect(answer.status).toBe(401);
      expect(answer.headers.get('x-request-id')).toBe('a1');
      expect(await answer.json()).toMatchObject({
        error: { code: 'unauthorized', type: 'authentication_error', source: 'router' },
      });
      expect(reached).toEqual([]);
      expect(notes.at(-1)).toEqual([
        'request',
        expect.objectContaining({
          ...{ request_id: 'a1', identity: undefined, transport: 'plain', address: '100.64.0.7' },
          ...{ outcome: 'refused', status: 401, error_class: 'unauthorized' },
        }),
      ]);
      expect(await registered.registry.metrics()).toMatch(
        /^sanctum_router_refused_requests_total\{reason="unauthorized"\} [1-9]/m,
      );
      await close();
    },
  );

  it('opens to a stranger with the token, and to no other', async () => {
    const { url, reached, close } = await seenFromAfar();
    const withToken = (token: string) =>
      fetch(`${url}/health`, { headers: { authorization: `Bearer ${token}` } });
    expect((await withToken(TOKEN.slice(1))).status).toBe(401);
    expect((await withToken(TOKEN)).status).toBe(200);
    expect(reached).toEqual(['/health']);
    await close();
  });
});
