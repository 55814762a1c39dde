import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Instance } from './instance.js';

const KEY_NAME = 'PLANTED_API_KEY';
/** Where secrets live: they may be found there, and nowhere else. */
const HOLDS_SECRETS = /^secrets\/|^certs\/.*\.key$/;

/** A text that nothing else contains. */
const planted = (what: string): string => `${what}${randomBytes(16).toString('hex')}`;

describe('secrets stay secret', () => {
  let instance: Instance;
  let upstream: Server;
  let router: string;
  /** By where each one comes from. */
  const secrets: Record<string, string> = {
    'a key file': planted('sk-file-'),
    'an authorization header': planted('sk-header-'),
    'an api-key header': planted('sk-apikey-'),
    'a cookie': planted('cookie-'),
    'a query': planted('query-'),
    'a prompt': planted('prompt-'),
    'a credential in a prompt': planted('sk-prompt-'),
    'a stop sequence': planted('stop-'),
    // Of a field that is refused, its client is shown 40 characters.
    'a refused body': planted('refused-').repeat(2),
  };
  const seenUpstream: string[] = [];
  const served: string[] = [];

  beforeAll(async () => {
    upstream = createServer((request, response) => {
      seenUpstream.push(request.headers.authorization ?? '');
      request.resume();
      response.writeHead(401, { 'content-type': 'application/json' });
      response.end('{"error":{"message":"no","type":"authentication_error"}}');
    }).listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    instance = await Instance.create();
    await writeInstance();
    const { code, stderr } = await instance.up();
    expect({ code, stderr }).toMatchObject({ code: 0 });
    router = await instance.url('router');
    await collectStoredSecrets();
    await exercise();
  }, 300_000);

  afterAll(async () => {
    upstream.close();
    await instance.destroy();
  });

  /** The example with one more backend, whose key lies in a file. */
  async function writeInstance(): Promise<void> {
    await mkdir(path.join(instance.home, 'secrets'), { recursive: true, mode: 0o700 });
    const file = path.join(instance.home, 'secrets', KEY_NAME);
    await writeFile(file, `${secrets['a key file'] ?? ''}\n`, { mode: 0o600 });
    await instance.run('infra', '--ports', 'auto');
    await instance.run('down');
    const { port } = upstream.address() as AddressInfo;
    const yaml = path.join(instance.home, 'instance.yaml');
    const text = await readFile(yaml, 'utf8');
    const backend = [
      '      planted:',
      `        url: http://127.0.0.1:${port}/v1`,
      `        api_key_env: ${KEY_NAME}`,
      '        models: [planted]',
    ].join('\n');
    const changed = text.replace(/^ {4}backends:\n/m, (line) => `${line}${backend}\n`);
    expect(changed).not.toBe(text);
    await writeFile(yaml, changed);
  }

  /** What the instance made for itself: bearer token, MAC key, private keys. */
  async function collectStoredSecrets(): Promise<void> {
    const token = await readFile(path.join(instance.home, 'secrets/council-mlx.token'), 'utf8');
    secrets['the bearer token'] = token.trim();
    const mac = await readFile(path.join(instance.home, 'secrets/manifest-trust.key'), 'utf8');
    secrets['the key of the manifest memory'] = (JSON.parse(mac) as { key: string }).key;
    for (const name of ['ca', 'server', 'clients/sanctum-server', 'clients/engine']) {
      const pem = await readFile(path.join(instance.home, 'certs', `${name}.key`), 'utf8');
      secrets[`the private key of ${name}`] = pem.split('\n')[1] ?? '';
    }
  }

  async function exercise(): Promise<void> {
    const { query = '', prompt = '' } = { query: secrets['a query'], prompt: secrets['a prompt'] };
    const headers = {
      'content-type': 'application/json',
      authorization: `Bearer ${secrets['an authorization header'] ?? ''}`,
      'x-api-key': secrets['an api-key header'] ?? '',
      cookie: `session=${secrets['a cookie'] ?? ''}`,
    };
    const ask = async (body: string, at = '/v1/chat/completions'): Promise<number> => {
      const url = `${router}${at}?api_key=${query}`;
      const answer = await fetch(url, { method: 'POST', headers, body });
      const text = await answer.text();
      // What a model says of its prompt is the client's own.
      if (!answer.ok) served.push(text);
      return answer.status;
    };
    const content = `${prompt} Authorization: Bearer ${secrets['a credential in a prompt'] ?? ''}`;
    const chat = (model: string) => ({ model, messages: [{ role: 'user', content }] });
    const stop = secrets['a stop sequence'];
    expect(await ask(JSON.stringify({ ...chat('padawan'), stop, max_tokens: 4 }))).toBe(200);
    await ask(JSON.stringify({ ...chat('padawan'), stream: true, max_tokens: 4 }));
    expect(await ask(JSON.stringify(chat('planted')))).toBe(401);
    expect(seenUpstream.at(-1)).toBe(`Bearer ${secrets['a key file'] ?? ''}`);
    // Bodies that are refused: no JSON, too long a prompt, an unknown path.
    await ask(`{"messages": ${secrets['a refused body'] ?? ''}`);
    await ask(JSON.stringify({ ...chat('padawan'), messages: secrets['a refused body'] }));
    await ask(JSON.stringify({ ...chat('padawan'), max_tokens: -1 }));
    await ask(JSON.stringify(chat('padawan')), '/v1/no-such-thing');
    const metrics = ['/metrics', '/health', '/v1/backends', '/v1/models', '/openapi.json', '/'];
    for (const at of metrics) {
      const answer = await fetch(`${router}${at}`, { headers });
      served.push(await answer.text());
    }
    for (const args of [
      ['status', '--json'],
      ['doctor', '--json', '--quick'],
      ['secrets', 'list', '--json'],
      ['audit', 'tail', '-n', '500', '--json'],
      ['model', 'trust', '--json'],
      ['logs', '-n', '5000'],
    ]) {
      const { stdout, stderr } = await instance.run(...args);
      served.push(stdout, stderr);
    }
    const { services } = await instance.status();
    const pids = services.flatMap((service) => service.pids).join(',');
    served.push(execFileSync('ps', ['-o', 'args=', '-p', pids], { encoding: 'utf8' }));
  }

  it('in everything the instance serves and its commands print', () => {
    expect(served.join('\n')).toContain('sanctum_router_');
    for (const [where, secret] of Object.entries(secrets)) {
      expect(secret.length).toBeGreaterThan(20);
      expect({ where, found: served.some((text) => text.includes(secret)) }).toEqual({
        where,
        found: false,
      });
    }
  });

  it('in everything the instance writes, once it is down', async () => {
    await instance.run('down');
    const files = (await readdir(instance.home, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(instance.home, path.join(entry.parentPath, entry.name)));
    const open = files.filter((file) => !HOLDS_SECRETS.test(file));
    expect(open).toEqual(
      expect.arrayContaining(['logs/router.log', 'logs/engine.log', 'state/manifest-trust.json']),
    );
    expect(open.some((file) => /^audit\/router\/.*\.jsonl$/.test(file))).toBe(true);
    for (const file of open) {
      const text = await readFile(path.join(instance.home, file), 'latin1');
      const found = Object.entries(secrets).filter(([, secret]) => text.includes(secret));
      expect({ file, found: found.map(([where]) => where) }).toEqual({ file, found: [] });
    }
  });

  it('behind modes that doctor insists on', async () => {
    execFileSync('chmod', ['644', path.join(instance.home, 'secrets', KEY_NAME)]);
    const { code, stdout } = await instance.run('doctor', '--quick');
    expect(code).toBe(1);
    expect(stdout).toContain(`chmod go= ${path.join(instance.home, 'secrets', KEY_NAME)}`);
    const up = await instance.up();
    expect(up.code).not.toBe(0);
    expect(up.stdout + up.stderr).toContain('can be read by others');
    expect(up.stdout + up.stderr).not.toContain(secrets['a key file']);
  });
});
