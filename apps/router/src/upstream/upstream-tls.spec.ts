import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createHome, type HomePaths } from '@sanctum/catalog';
import { initPki, issueCertificate } from '@sanctum/identity';
import { UpstreamProgram } from '@sanctum/testing';
import { ownPort } from '../own-port.fixture.js';
import { startTestRouter, type TestRouter } from '../router.fixture.js';

const CHAT = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
const DAY_MS = 86_400_000;

async function newHome(): Promise<HomePaths> {
  const home = createHome(mkdtempSync(join(tmpdir(), 'sanctum-router-tls-')));
  await initPki({ home, instance: 'test', identities: ['sanctum-server', 'canary'] });
  return home;
}

describe('mTLS towards upstreams', () => {
  let engine: UpstreamProgram;
  let plain: UpstreamProgram;
  let server: HomePaths;
  let home: HomePaths;
  let router: TestRouter | undefined;

  beforeAll(async () => {
    server = await newHome();
    engine = await UpstreamProgram.start({ tls: { ca: server.ca.cert, ...server.server } });
    plain = await UpstreamProgram.start();
  });
  afterAll(async () => {
    await Promise.all([engine.kill(), plain.kill()]);
    rmSync(server.home, { recursive: true });
  });
  beforeEach(() => {
    engine.requests.length = 0;
    // The router lives in the same home as the engine, unless a test says otherwise.
    home = server;
  });
  afterEach(async () => {
    await router?.stop();
    router = undefined;
    if (home !== server) rmSync(home.home, { recursive: true });
  });

  async function withBackend(backend: object): Promise<TestRouter> {
    const council = { url: engine.url('well'), ...backend };
    router = await startTestRouter({ home: home.home, router: { backends: { council } } });
    return router;
  }

  it.each([
    ['an identity', () => ({ identity: 'sanctum-server' })],
    ['files', () => ({ ca: server.ca.cert, ...server.client('sanctum-server') })],
  ])('presents the certificate named by %s', async (_name, tls) => {
    const { post, logged } = await withBackend({ tls: tls() });
    expect((await post(CHAT)).status).toBe(200);
    const { peer, headers } = engine.requests.at(-1) ?? {};
    expect([peer, headers?.['x-sanctum-client']]).toEqual(['sanctum-server', '127.0.0.1']);
    expect(logged('Registered backend')).toEqual([
      expect.objectContaining({ backend: 'council', transport: 'mtls' }),
    ]);
  });

  it('presents the one found by convention where none is named', async () => {
    const { post } = await withBackend({});
    const headers = { 'x-sanctum-client': 'somebody-else' };
    expect((await post(CHAT, { headers })).status).toBe(200);
    expect(engine.requests.at(-1)?.peer).toBe('sanctum-server');
    expect(engine.requests.at(-1)?.headers['x-sanctum-client']).toBe('127.0.0.1');
  });

  it('keeps connections for the next request', async () => {
    const { post } = await withBackend({});
    for (const nth of [1, 2, 3]) {
      await (await post(CHAT)).text();
      expect(engine.requests.at(-1)?.nth).toBe(nth);
    }
  });

  it('mixes an https primary with an http fallback', async () => {
    const tls = { ca: server.ca.cert, ...server.server };
    const gone = await UpstreamProgram.start({ tls, port: await ownPort() });
    const url = gone.url('well');
    await gone.kill();
    const { post, logged } = await withBackend({ url, fallback_urls: [plain.url('well')] });
    const answer = await post(CHAT);
    expect([answer.status, answer.headers.get('x-sanctum-url-index')]).toEqual([200, '1']);
    expect(plain.requests.at(-1)?.headers).not.toHaveProperty('x-sanctum-client');
    expect(logged('Registered backend')[0]).toMatchObject({
      transport: 'mtls',
      fallback_transports: ['plain-loopback'],
    });
  });

  describe('a certificate that is named must be usable', () => {
    it.each([
      ['an identity without a certificate', { identity: 'nobody' }, /nobody\.crt/],
      ['a missing file', { cert: 'no.crt', key: 'no.key' }, /no\.crt/],
      ['a certificate without its key', { cert: 'no.crt' }, /a cert without key/],
      ['a missing CA', { ca: 'no-ca.crt' }, /no-ca\.crt/],
    ])('%s ends the start before any port opens', async (_name, tls, message) => {
      await expect(withBackend({ tls })).rejects.toThrow(message);
    });

    it('an expired one too', async () => {
      home = await newHome();
      await issueCertificate({
        home,
        kind: 'client',
        instance: 'test',
        identity: 'canary',
        days: 1,
        now: new Date(Date.now() - 3 * DAY_MS),
      });
      await expect(withBackend({ tls: { identity: 'canary' } })).rejects.toThrow(/expired/);
    });

    it('one of another CA than the one it goes with, too', async () => {
      home = await newHome();
      const tls = { ca: server.ca.cert, ...home.client('sanctum-server') };
      await expect(withBackend({ tls })).rejects.toThrow(/was not signed by this CA/);
    });
  });

  describe('a certificate that is found by convention may be gone', () => {
    it('the router starts, warns once, and the engine turns it away', async () => {
      home = await newHome();
      rmSync(home.client('sanctum-server').cert);
      const { post, logs } = await withBackend({});
      const warnings = logs.filter(({ level }) => level === 'warn');
      expect(warnings).toHaveLength(1);
      expect(warnings[0]?.['msg']).toContain('without a client certificate');
      expect((await post(CHAT)).status).toBe(502);
      expect(engine.requests).toEqual([]);
    });
  });

  it('turns to the fallback when the upstream is of another CA', async () => {
    home = await newHome();
    const { post, logged } = await withBackend({ fallback_urls: [plain.url('well')] });
    const answer = await post(CHAT);
    expect(answer.headers.get('x-sanctum-url-index')).toBe('1');
    expect(logged('failover_attempt')[0]?.['error_class']).toMatch(/CERT|SIGNATURE|SSL|CRL/);
    expect(engine.requests).toEqual([]);
  });
});

describe('keys', () => {
  it('are required where they are named, and overridden per URL', async () => {
    const upstream = await UpstreamProgram.start();
    const backends = {
      council: {
        url: upstream.url('status-500'),
        fallback_urls: [
          upstream.url('status-503'),
          { url: upstream.url('status-529'), api_key_env: 'OTHER_KEY' },
          { url: upstream.url('well'), api_key_env: null },
        ],
        api_key_env: 'COUNCIL_API_KEY',
      },
    };
    const settings = { router: { backends } };
    await expect(startTestRouter({ ...settings, environment: {} })).rejects.toThrow(
      'services.router.backends.council: api_key_env names $COUNCIL_API_KEY, which is not set',
    );
    const environment = { COUNCIL_API_KEY: 'key-a', OTHER_KEY: 'bad\nkey' };
    await expect(startTestRouter({ ...settings, environment })).rejects.toThrow(
      'fallback URL 2: api_key_env names $OTHER_KEY, which is no usable header value',
    );
    const router = await startTestRouter({
      ...settings,
      environment: { ...environment, OTHER_KEY: 'key-b' },
    });
    await (await router.post(CHAT)).text();
    expect(upstream.requests.map(({ headers }) => headers['authorization'])).toEqual([
      'Bearer key-a',
      'Bearer key-a',
      'Bearer key-b',
      undefined,
    ]);
    await router.stop();
    await upstream.kill();
  });
});
