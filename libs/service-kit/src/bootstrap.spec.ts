import { readFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Module, Post } from '@nestjs/common';
import { SanctumError } from '@sanctum/errors';
import { clientTlsOptions, readTlsFiles, serverTlsOptions } from '@sanctum/identity';
import { createTempHome, type TempHome } from '@sanctum/testing';
import { pino } from 'pino';
import { bootstrapService, type RunningService } from './bootstrap.js';
import type { ServiceOptions } from './service-options.js';

@Controller('nest')
class NestController {
  @Get('refusal')
  refuse(): never {
    throw new SanctumError('queue_full', 'The queue of 64 is full.', { retryAfterS: 1.2 });
  }

  @Get('defect')
  break(): never {
    throw new Error('hunter2 in the message');
  }

  @Post('echo')
  echo(): string {
    return 'heard';
  }
}

@Module({ controllers: [NestController] })
class TestModule {}

const lines: string[] = [];
const logger = pino({ level: 'error' }, { write: (line: string) => void lines.push(line) });
let home: TempHome;
let service: RunningService;
let healthy = true;
let opened: (response: ServerResponse) => void = () => undefined;

const base: ServiceOptions = {
  name: 'router',
  version: '0.1.0',
  module: TestModule,
  listeners: [{ name: 'plain', host: '127.0.0.1', port: 0 }],
  health: () => ({ healthy, details: { backends: 2 } }),
  logger,
  ownsProcess: false,
};

beforeAll(async () => {
  home = await createTempHome({ identities: ['sanctumctl'] });
});
afterAll(() => home.remove());
beforeEach(async () => {
  healthy = true;
  lines.length = 0;
  const { ca, server } = home.paths;
  const material = await readTlsFiles({ ca: ca.cert, ...server }, 'server');
  service = await bootstrapService({
    ...base,
    listeners: [
      { name: 'plain', host: '127.0.0.1', port: 0 },
      { name: 'mtls', host: '127.0.0.1', port: 0, tls: serverTlsOptions(material) },
    ],
    http: { bodyBytesMax: 1000, headerBytesMax: 4096 },
    // Longer than a test may take: what waits for it fails.
    drainDeadlineMs: 120_000,
    configure: ({ fastify }) => {
      fastify.get('/raw/defect', () => {
        throw new Error('hunter2 in the message');
      });
      fastify.post('/raw/echo', (request) => ({ got: request.body }));
    },
    intercept:
      (next, { state }) =>
      (request, response) => {
        if (request.url === '/hot') response.end(`hot ${state.current}`);
        else if (request.url === '/open') opened(response);
        else next(request, response);
      },
  });
});
afterEach(() => service.stop());

const url = (path: string): string => `${service.addresses[0]?.url ?? ''}${path}`;

describe('listeners', () => {
  it('reports the ports it was given, and serves one set of routes on all', async () => {
    const [plain, mtls] = service.addresses;
    expect(plain?.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(mtls?.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    expect(mtls?.port).not.toBe(plain?.port);
    expect(await (await fetch(url('/hot'))).text()).toBe('hot ready');
    const pair = home.paths.client('sanctumctl');
    const client = await readTlsFiles({ ca: home.paths.ca.cert, ...pair }, 'client');
    expect(await statusOverTls(clientTlsOptions(client))).toBe(200);
  });

  it('lets nobody in who has no certificate', async () => {
    const ca = readFileSync(home.paths.ca.cert, 'utf8');
    await expect(statusOverTls({ ca })).rejects.toThrow();
  });

  it('names the port that is taken, and leaves nothing bound', async () => {
    const taken = service.addresses[0]?.port ?? 0;
    const listeners = [
      { name: 'free', host: '127.0.0.1', port: 0 },
      { name: 'taken', host: '127.0.0.1', port: taken },
    ];
    await expect(bootstrapService({ ...base, listeners })).rejects.toMatchObject({
      code: 'port_in_use',
      param: 'taken',
      message: expect.stringContaining(`127.0.0.1:${taken}`) as unknown,
    });
  });

  it.each(['plain', 'mtls'])(
    'end with %s connections that never brought a request',
    async (name) => {
      const { port = 0 } = service.addresses.find((address) => address.name === name) ?? {};
      const pair = home.paths.client('sanctumctl');
      const client = await readTlsFiles({ ca: home.paths.ca.cert, ...pair }, 'client');
      const options = { host: '127.0.0.1', port };
      const socket =
        name === 'plain'
          ? connect(options)
          : connectTls({ ...options, ...clientTlsOptions(client) });
      await once(socket, name === 'plain' ? 'connect' : 'secureConnect');
      await Promise.all([service.stop(), closed(socket)]);
    },
  );

  it('end with a connection whose handshake comes late', async () => {
    const [plain, mtls] = service.addresses.map(({ port }) => connect(port, '127.0.0.1'));
    if (plain === undefined || mtls === undefined) throw new Error('two listeners');
    await Promise.all([once(plain, 'connect'), once(mtls, 'connect')]);
    const pair = home.paths.client('sanctumctl');
    const client = await readTlsFiles({ ca: home.paths.ca.cert, ...pair }, 'client');
    // Those that come after them are served, so that they are accepted.
    await fetch(url('/hot'));
    await statusOverTls(clientTlsOptions(client));
    const stopped = service.stop();
    await closed(plain);
    const late = connectTls({ socket: mtls, ...clientTlsOptions(client) });
    await Promise.all([stopped, closed(late)]);
  });

  it('comes up without an address that is optional', async () => {
    const listeners = [
      { name: 'plain', host: '127.0.0.1', port: 0 },
      { name: 'away', host: '203.0.113.7', port: 0, optional: true },
    ];
    const other = await bootstrapService({ ...base, listeners });
    expect(other.addresses.map((address) => address.name)).toEqual(['plain']);
    await other.stop();
  });
});

describe('errors', () => {
  it('leave every route as an OpenAI envelope', async () => {
    const refusal = await fetch(url('/nest/refusal'));
    expect(refusal.status).toBe(429);
    expect(refusal.headers.get('retry-after')).toBe('2');
    expect(await refusal.json()).toEqual({
      error: {
        message: 'The queue of 64 is full.',
        type: 'rate_limit_error',
        code: 'queue_full',
        param: null,
        source: 'router',
      },
    });
  });

  it.each(['/nest/defect', '/raw/defect'])('tell nothing of a defect in %s', async (path) => {
    const answer = await fetch(url(path), { headers: { 'x-request-id': 'follow-me' } });
    expect(answer.status).toBe(500);
    expect(answer.headers.get('x-request-id')).toBe('follow-me');
    expect(await answer.text()).not.toContain('hunter2');
    expect(lines.join('')).toContain('"requestId":"follow-me"');
  });

  const tooLong = { headers: { a: 'x'.repeat(5000) } };
  it.each([
    { path: '/none', init: {}, status: 404, code: 'not_found' },
    { path: '/nest/echo', init: {}, status: 405, code: 'method_not_allowed' },
    { path: '/raw/echo', init: json('{"a":'), status: 400, code: 'invalid_request' },
    { path: '/raw/echo', init: json(`"${'x'.repeat(2000)}"`), status: 413, code: 'body_too_large' },
    { path: '/hot', init: tooLong, status: 431, code: 'headers_too_large' },
  ])('answer $code with $status', async ({ path, init, status, code }) => {
    const answer = await fetch(url(path), init);
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ error: { code, source: 'router' } });
  });

  it('name the methods that a path answers to', async () => {
    const answer = await fetch(url('/raw/echo?a=1'));
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST']);
    expect(await answer.json()).toMatchObject({
      error: { code: 'method_not_allowed', source: 'router' },
    });
    const other = await fetch(url('/nest/refusal'), { method: 'DELETE' });
    expect([other.status, other.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  it.each([
    ['that has begun', (response: ServerResponse) => void response.write('begun')],
    ['that is still to come', (response: ServerResponse) => void response.emit('asked')],
  ])('are never written into an answer %s', async (_when, begin) => {
    const socket = connect(service.addresses[0]?.port ?? 0, '127.0.0.1');
    const response = new Promise<ServerResponse>((resolve) => (opened = resolve));
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.write('GET /open HTTP/1.1\r\nHost: x\r\n\r\n');
    const answer = await response;
    begin(answer);
    if (answer.headersSent) await once(socket, 'data');
    socket.write('hello?\r\n\r\n');
    await once(socket, 'close');
    expect(text).not.toContain('400');
    expect(text.split('HTTP/1.1').length - 1).toBe(answer.headersSent ? 1 : 0);
  });

  it('answer what is not HTTP', async () => {
    const port = service.addresses[0]?.port ?? 0;
    expect(await said(port, 'hello?\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 .*invalid_request/s);
  });

  it('answer who takes too long', async () => {
    const impatient = await bootstrapService({ ...base, http: { headersTimeoutMs: 300 } });
    const port = impatient.addresses[0]?.port ?? 0;
    expect(await said(port, 'GET / HTTP/1.1\r\nHost: x\r\n')).toMatch(/^HTTP\/1\.1 408 .*time/s);
    await impatient.stop();
  });
});

describe('health and metrics', () => {
  it('follow the check and the state', async () => {
    expect(await (await fetch(url('/health'))).json()).toEqual({
      status: 'healthy',
      state: 'ready',
      backends: 2,
    });
    healthy = false;
    expect((await fetch(url('/health/ready'))).status).toBe(503);
    expect((await fetch(url('/health/live'))).status).toBe(200);
    healthy = true;
    service.state.set('draining');
    expect((await fetch(url('/health/ready'))).status).toBe(503);
    service.state.set('ready');
    expect(service.state.current).toBe('draining');
  });

  it('carry the prefix of the service', async () => {
    const gauge = service.metrics.gauge({ name: 'queue_depth', help: 'h', read: () => 7 });
    service.metrics.counter({ name: 'asked_total', help: 'h', labels: ['by'] }).inc({ by: 'me' });
    const answer = await fetch(url('/metrics'));
    expect(answer.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    const text = await answer.text();
    expect(text).toContain('sanctum_router_queue_depth 7');
    expect(text).toContain('sanctum_router_asked_total{by="me"} 1');
    expect(text).toContain('sanctum_router_process_resident_memory_bytes');
    expect(text).not.toMatch(/^# TYPE \S+_total gauge$/m);
    expect(gauge).toBeDefined();
  });

  it('mint an id for who brings none, or a bad one', async () => {
    const ids = await Promise.all(
      [{}, { 'x-request-id': 'with space' }].map(async (headers) => {
        const answer = await fetch(url('/health/live'), { headers });
        return answer.headers.get('x-request-id');
      }),
    );
    for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(ids[0]).not.toBe(ids[1]);
  });
});

function json(body: string): RequestInit {
  return { method: 'POST', body, headers: { 'content-type': 'application/json' } };
}

function statusOverTls(options: object): Promise<number | undefined> {
  const port = service.addresses[1]?.port;
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      { host: '127.0.0.1', port, path: '/health/live', agent: false, ...options },
      (response) => {
        response.resume();
        resolve(response.statusCode);
      },
    );
    request.on('error', reject);
    request.end();
  });
}

/** Resolves when it is; one that the server has not accepted yet is reset when it stops. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket
      .resume()
      .on('error', () => undefined)
      .once('close', () => resolve());
  });
}

/** All that a server says to these bytes until it hangs up. */
function said(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
}
