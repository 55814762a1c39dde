import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { request as plainRequest, type OutgoingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { homePaths, type HomePaths } from '@sanctum/catalog';
import { clientTlsOptions, initPki, readTlsFiles } from '@sanctum/identity';
import { BAD_CERTIFICATES, badCertificate, waitUntil } from '@sanctum/testing';
import { chat, EngineProcess } from './testing/engine-process.js';
import { sealModel } from './testing/sealed-model.js';

const TOKEN = 'f'.repeat(64);
const beyond = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

let root: string;
let home: HomePaths;
let stranger: HomePaths;
let engine: EngineProcess;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'sanctum-engine-'));
  home = homePaths(join(root, 'home'));
  stranger = homePaths(join(root, 'stranger'));
  await initPki({ home, instance: 'test', identities: ['sanctum-server', 'engine'] });
  await initPki({ home: stranger, instance: 'other', identities: ['sanctum-server'] });
  const { dir, publicKey } = await sealModel(home.models);
  const section = {
    model: dir,
    manifest: { public_keys: [publicKey] },
    listeners: { plain: { port: 0, hosts: ['0.0.0.0'] }, tls: { port: 0 } },
  };
  const instance = { instance: { name: 'test' }, services: { engine: section } };
  writeFileSync(home.instanceFile, JSON.stringify(instance));
  writeFileSync(home.councilToken, `${TOKEN}\n`, { mode: 0o600 });
  // The key of the CA is nothing a service needs or reads.
  const away = join(root, 'ca.key');
  renameSync(home.ca.key, away);
  engine = await EngineProcess.start([], { SANCTUM_HOME: home.home });
  renameSync(away, home.ca.key);
});

afterAll(async () => {
  expect((await engine.stop()).code).toBe(0);
  rmSync(root, { recursive: true });
});

interface Reply {
  readonly status: number;
  readonly body: string;
  readonly identity: string | undefined;
}

/** One request to the mTLS listener; rejects when the handshake fails. */
function overTls(options: object, path = '/v1/models', body?: string): Promise<Reply> {
  const { port } = engine.address('mtls');
  return new Promise((resolve, reject) => {
    const call = request(
      {
        ...{ host: '127.0.0.1', port, path, agent: false },
        method: body === undefined ? 'GET' : 'POST',
        headers: { 'content-type': 'application/json' },
        ...options,
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('error', reject);
        response.on('data', (chunk: string) => (text += chunk));
        response.on('end', () => {
          const identity = response.headers['x-sanctum-identity'];
          resolve({
            status: response.statusCode ?? 0,
            body: text,
            identity: typeof identity === 'string' ? identity : undefined,
          });
        });
      },
    );
    call.on('error', reject);
    call.end(body);
  });
}

describe('the mTLS listener', () => {
  const material = (paths = home) =>
    readTlsFiles({ ca: paths.ca.cert, ...paths.client('sanctum-server') }, 'client');

  it('answers a certificate of this instance and knows its name', async () => {
    const body = JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], max_tokens: 4 });
    const options = clientTlsOptions(await material());
    const reply = await overTls(options, '/v1/chat/completions', body);
    expect(reply.status).toBe(200);
    expect(reply.identity).toBe('spiffe://sanctum.test/svc/engine/g1');
    const line = await engine.line('answered');
    expect(line).toMatchObject({ transport: 'mtls', client: 'sanctum-server' });
  });

  it('gives a client of the router a turn of its own', async () => {
    const headers = {
      ...{ 'content-type': 'application/json', 'x-request-id': 'for-another' },
      'x-sanctum-client': '127.0.0.1',
    };
    const options = { ...clientTlsOptions(await material()), headers };
    const body = JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], max_tokens: 1 });
    expect((await overTls(options, '/v1/chat/completions', body)).status).toBe(200);
    const line = await engine.line('answered', 'for-another');
    expect(line).toMatchObject({ client: 'sanctum-server/127.0.0.1' });
  });

  it('serves health and metrics too', async () => {
    const options = clientTlsOptions(await material());
    expect((await overTls(options, '/health/ready')).status).toBe(200);
    expect((await overTls(options, '/metrics')).body).toContain('sanctum_mlx_');
  });

  it('refuses to talk without a certificate, also with the token', async () => {
    const ca = readFileSync(home.ca.cert, 'utf8');
    const headers = { authorization: `Bearer ${TOKEN}` };
    await expect(overTls({ ca, headers })).rejects.toThrow();
  });

  it('refuses a certificate of another CA', async () => {
    const { cert, key } = await material(stranger);
    const ca = readFileSync(home.ca.cert, 'utf8');
    await expect(overTls({ ca, cert, key })).rejects.toThrow();
  });

  it('refuses its own server certificate as a client', async () => {
    const [ca, cert, key] = [home.ca.cert, home.server.cert, home.server.key].map((file) =>
      readFileSync(file, 'utf8'),
    );
    await expect(overTls({ ca, cert, key })).rejects.toThrow();
  });

  it('refuses an identity of another instance under the same CA', async () => {
    await initPki({ home, instance: 'elsewhere', identities: ['drift'] });
    const paths = { ca: home.ca.cert, ...home.client('drift') };
    const reply = await overTls(clientTlsOptions(await readTlsFiles(paths, 'client')));
    expect(reply.status).toBe(403);
    expect(JSON.parse(reply.body)).toMatchObject({ error: { code: 'forbidden' } });
  });
});

describe('a certificate that must be refused', () => {
  it.each(BAD_CERTIFICATES)('is: %s', async (fault) => {
    const options = { home, instance: 'test', identity: 'sanctum-server' } as const;
    const bad = await badCertificate(fault, options);
    const ca = readFileSync(home.ca.cert, 'utf8');
    const status = await waitUntil(
      async () => {
        const reply = await overTls({ ca, ...bad }).catch(() => ({ status: -1 }));
        // What is revoked is known within a second.
        return reply.status === 200 && fault === 'revoked' ? undefined : reply.status;
      },
      { what: 'the certificate is refused' },
    );
    const named = fault === 'without an identity' || fault === 'of another instance';
    expect(status).toBe(named ? 403 : -1);
    const good = await readTlsFiles(
      { ca: home.ca.cert, ...home.client('sanctum-server') },
      'client',
    );
    expect((await overTls(clientTlsOptions(good))).status).toBe(200);
  });
});

describe('the plain listener', () => {
  it('lets this machine in without a token', async () => {
    expect((await chat(engine.url.replace('0.0.0.0', '127.0.0.1'), { max_tokens: 1 })).status).toBe(
      200,
    );
  });

  it('stays shut to a web page from elsewhere in a browser of this machine', async () => {
    const { port } = engine.address('plain');
    const post = (headers: OutgoingHttpHeaders): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const options = { host: '127.0.0.1', port, path: '/admin/drain', method: 'POST', headers };
        const call = plainRequest(options, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        call.on('error', reject).end();
      });
    expect(await post({ origin: 'https://evil.com' })).toBe(403);
    expect(await post({ host: `evil.com:${port}` })).toBe(403);
    expect((await fetch(`http://127.0.0.1:${port}/health/ready`)).status).toBe(200);
  });
});

if (beyond === undefined) {
  process.stderr.write('doors.spec.ts: no address but loopback here, so no stranger can knock.\n');
} else {
  describe('the plain listener, for others', () => {
    const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(`http://${beyond}:${engine.address('plain').port}${path}`, { headers });

    it.each(['/v1/models', '/metrics', '/health/ready', '/nowhere'])(
      'asks for the token at %s',
      async (path) => {
        const refused = await get(path);
        expect(refused.status).toBe(401);
        expect(await refused.json()).toMatchObject({ error: { code: 'unauthorized' } });
        const admitted = await get(path, { authorization: `Bearer ${TOKEN}` });
        expect(admitted.status).toBe(path === '/nowhere' ? 404 : 200);
      },
    );

    it.each<[string, Record<string, string>]>([
      ['a wrong token', { authorization: `Bearer ${'e'.repeat(64)}` }],
      ['half a token', { authorization: `Bearer ${TOKEN.slice(0, 32)}` }],
      ['an empty token', { authorization: 'Bearer ' }],
      ['another scheme', { authorization: `Basic ${TOKEN}` }],
      ['a claim to be local', { 'x-forwarded-for': '127.0.0.1', forwarded: 'for=127.0.0.1' }],
    ])('is not impressed by %s', async (_what, headers) => {
      expect((await get('/v1/models', headers)).status).toBe(401);
    });
  });
}

describe('SANCTUM_MLX_DISABLE_AUTH=1', () => {
  it('lets everybody in and shouts', async () => {
    const open = await EngineProcess.start([], {
      SANCTUM_HOME: home.home,
      SANCTUM_MLX_DISABLE_AUTH: '1',
    });
    expect(open.lines.some(({ msg, level }) => level === 'warn' && /IS OFF/.test(msg))).toBe(true);
    if (beyond !== undefined) {
      const { port } = open.address('plain');
      expect((await fetch(`http://${beyond}:${port}/v1/models`)).status).toBe(200);
    }
    expect((await open.stop()).code).toBe(0);
  });
});
