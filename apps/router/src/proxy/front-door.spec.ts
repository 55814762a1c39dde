import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { isLoopback, openFrontDoor } from './front-door.js';
import type { ProxyContext } from './proxy-context.js';

describe('isLoopback', () => {
  it.each([
    ['127.0.0.1', true],
    ['127.9.9.9', true],
    ['::1', true],
    ['::ffff:127.0.0.1', true],
    ['10.0.0.1', false],
    ['::ffff:10.0.0.1', false],
    ['fe80::1', false],
    ['127.evil.example', false],
    [undefined, false],
  ])('%s is %s', (address, expected) => {
    expect(isLoopback(address)).toBe(expected);
  });
});

describe('the front door', () => {
  it.each(['/health', '/metrics', '/v1/models', '/v1/chat/completions'])(
    'refuses strangers at %s, whatever they forward',
    async (path) => {
      const reached: string[] = [];
      // A refused request touches nothing of the context.
      const door = openFrontDoor({} as ProxyContext, (request) => reached.push(request.url ?? ''));
      const server = createServer(door);
      server.on('connection', (socket) => {
        Object.defineProperty(socket, 'remoteAddress', { value: '100.64.0.7' });
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
        headers: { 'x-forwarded-for': '127.0.0.1', 'x-request-id': 'a1' },
      });
      expect(answer.status).toBe(401);
      expect(answer.headers.get('x-request-id')).toBe('a1');
      expect(await answer.json()).toMatchObject({
        error: { code: 'unauthorized', type: 'authentication_error', source: 'router' },
      });
      expect(reached).toEqual([]);
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  );
});
