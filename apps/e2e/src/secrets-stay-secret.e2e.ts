import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { homePaths, loadInstance, portsOf, type PortTable } from '@sanctum/catalog';
import { waitUntil } from '@sanctum/testing';
import { parseDocument } from 'yaml';
import { ask as askChat } from './ask.js';
import { checkout, Instance, runProgram, type CommandResult } from './instance.js';

const KEY_NAME = 'PLANTED_API_KEY';
const ENVIRONMENT_KEY = 'PLANTED_ENVIRONMENT_KEY';
/** Where secrets live: they may be found there, and nowhere else. */
const HOLDS_SECRETS = /^secrets\/|^certs\/.*\.key$/;

/** The router also asks upstreams what they are up to. */
const isChat = ({ url }: IncomingMessage): boolean => url?.startsWith('/v1/chat/') === true;

/** A text that nothing else contains. */
const planted = (what: string): string => `${what}${randomBytes(16).toString('hex')}`;

describe('secrets stay secret', () => {
  let instance: Instance;
  let upstream: Server;
  let router: string;
  /** By where each one comes from. */
  const secrets: Record<string, string> = {
    'a key file': planted('sk-file-'),
    'a key in the environment': planted('sk-environment-'),
    'the credentials of a collector': planted('collector-'),
    'the credentials in a URL': planted('userinfo-'),
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
  const seenByCollector: unknown[] = [];
  const served: string[] = [];

  beforeAll(async () => {
    upstream = createServer((incoming, response) => {
      if (incoming.url === '/v1/traces') seenByCollector.push(incoming.headers['x-collector-key']);
      if (isChat(incoming)) seenUpstream.push(incoming.headers.authorization ?? '');
      incoming.resume();
      response.writeHead(401, { 'content-type': 'application/json' });
      response.end('{"error":{"message":"no","type":"authentication_error"}}');
    }).listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    instance = await Instance.create();
    await writeInstance();
    const { code, stdout, stderr } = await upWith(secretEnvironment());
    expect({ code, stderr }).toMatchObject({ code: 0 });
    served.push(stdout, stderr);
    router = await instance.url('router');
    await collectStoredSecrets();
    await exercise();
  }, 300_000);

  afterAll(async () => {
    upstream.close();
    await instance.destroy();
  });

  function secretEnvironment(): Readonly<Record<string, string>> {
    const { port } = upstream.address() as AddressInfo;
    return {
      [ENVIRONMENT_KEY]: secrets['a key in the environment'] ?? '',
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_HEADERS: `x-collector-key=${secrets['the credentials of a collector'] ?? ''}`,
      OTEL_BSP_SCHEDULE_DELAY: '10',
    };
  }

  function upWith(variables: Readonly<Record<string, string>>): Promise<CommandResult> {
    const main = path.join(checkout, 'apps/sanctumctl/dist/bundle/main.mjs');
    const args = ['up', '--detach', '--yes', '--ports', 'auto', '--home', instance.home];
    const settings = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
    return runProgram('env', [...settings, process.execPath, main, ...args]);
  }

  /** The example with two more backends, whose keys lie in a file and in the environment. */
  async function writeInstance(): Promise<void> {
    await mkdir(path.join(instance.home, 'secrets'), { recursive: true, mode: 0o700 });
    const file = path.join(instance.home, 'secrets', KEY_NAME);
    await writeFile(file, `${secrets['a key file'] ?? ''}\n`, { mode: 0o600 });
    await instance.run('infra', '--ports', 'auto');
    await instance.run('down');
    const { port } = upstream.address() as AddressInfo;
    const yaml = path.join(instance.home, 'instance.yaml');
    const text = await readFile(yaml, 'utf8');
    const backend = (name: string, variable: string) =>
      [
        `      ${name}:`,
        `        url: http://127.0.0.1:${port}/v1`,
        `        api_key_env: ${variable}`,
        `        models: [${name}]`,
        '',
      ].join('\n');
    const backends = backend('planted', KEY_NAME) + backend('environment', ENVIRONMENT_KEY);
    const changed = text.replace(/^ {4}backends:\n/m, (line) => `${line}${backends}`);
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
    expect(await ask(JSON.stringify(chat('environment')))).toBe(401);
    expect(seenUpstream.at(-1)).toBe(`Bearer ${secrets['a key in the environment'] ?? ''}`);
    // Bodies that are refused: no JSON, too long a prompt, an unknown path.
    await ask(`{"messages": ${secrets['a refused body'] ?? ''}`);
    await ask(JSON.stringify({ ...chat('padawan'), messages: secrets['a refused body'] }));
    await ask(JSON.stringify({ ...chat('padawan'), max_tokens: -1 }));
    await ask(JSON.stringify(chat('padawan')), '/v1/no-such-thing');
    await browse(headers);
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

  /** What each service says of itself, at every door. */
  async function browse(headers: Readonly<Record<string, string>>): Promise<void> {
    const { 'engine.plain': plain, 'nats.monitor': monitor } = ports();
    const engine = ['/metrics', '/health', '/health/ready', '/v1/models', '/'];
    const urls = [
      ...['/metrics', '/health', '/v1/backends', '/v1/models', '/openapi.json', '/'].map(
        (at) => `${router}${at}`,
      ),
      ...engine.map((at) => `http://127.0.0.1:${plain}${at}`),
      ...['varz', 'connz?subs=1&auth=1', 'subsz?subs=1', 'jsz?config=1&consumers=1', 'healthz'].map(
        (at) => `http://127.0.0.1:${monitor}/${at}`,
      ),
    ];
    for (const url of urls) served.push(await (await fetch(url, { headers })).text());
    for (const at of engine) served.push(await fetchByCertificate(at, headers));
  }

  function ports(): PortTable {
    return portsOf(loadInstance(path.join(instance.home, 'instance.yaml')));
  }

  async function fetchByCertificate(
    at: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<string> {
    const home = homePaths(instance.home);
    const { cert, key } = home.client('canary');
    const [authority, own, secret] = await Promise.all(
      [home.ca.cert, cert, key].map((file) => readFile(file)),
    );
    const outgoing = request(`https://127.0.0.1:${ports()['engine.tls']}${at}`, {
      ...{ headers, ca: authority, cert: own, key: secret, agent: false },
    }).end();
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    return textOf(answer);
  }

  it('in everything the instance serves and its commands print', async () => {
    // Traces are sent when they have been collected for a while.
    await waitUntil(() => seenByCollector.length > 0, { what: 'the collector is told of a trace' });
    const all = served.join('\n');
    for (const found of ['sanctum_router_', 'sanctum_mlx_', '"server_id"', '"connections"']) {
      expect(all).toContain(found);
    }
    expect(seenByCollector).toContain(secrets['the credentials of a collector']);
    for (const [where, secret] of Object.entries(secrets)) {
      expect(secret.length).toBeGreaterThan(20);
      expect({ where, found: served.some((text) => text.includes(secret)) }).toEqual({
        where,
        found: false,
      });
    }
  });

  it('in the environment of who does not send them', async () => {
    if (process.platform !== 'linux') {
      process.stdout.write('not checked: only Linux shows the environment of a process\n');
      return;
    }
    const { services } = await instance.status();
    const holders = new Map<string, readonly string[]>();
    for (const { name, pids } of services) {
      const texts = await Promise.all(
        pids.map((pid) => readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')),
      );
      const held = Object.entries(secrets).filter(([, secret]) => texts.join().includes(secret));
      holders.set(
        name,
        held.map(([where]) => where),
      );
    }
    expect(Object.fromEntries(holders)).toEqual({
      nats: [],
      engine: [],
      router: [
        'a key file',
        'a key in the environment',
        'the credentials of a collector',
        'the bearer token',
      ],
    });
  });

  it('in everything the instance writes, once it is down', async () => {
    await instance.run('down');
    await assertNotWritten();
  });

  async function assertNotWritten(): Promise<void> {
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
  }

  it('in what is said of a URL that holds credentials, which is refused', async () => {
    const secret = secrets['the credentials in a URL'] ?? '';
    const said: string[] = [];
    const refused = async (result: Promise<CommandResult>, why: string): Promise<void> => {
      const { code, stdout, stderr } = await result;
      expect({ code, said: stdout + stderr }).toEqual({
        ...{ code: 1, said: expect.stringContaining(why) },
      });
      said.push(stdout, stderr);
    };
    const endpoint = `http://operator:${secret}@127.0.0.1:4318`;
    await refused(
      upWith({ ...secretEnvironment(), OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }),
      'credentials belong in OTEL_EXPORTER_OTLP_HEADERS',
    );
    await instance.run('down');
    const yaml = path.join(instance.home, 'instance.yaml');
    const text = await readFile(yaml, 'utf8');
    await writeFile(yaml, text.replace('http://127', `http://operator:${secret}@127`));
    for (const args of [
      ['doctor', '--quick'],
      ['doctor', '--json'],
      ['certs', 'migration'],
    ]) {
      await refused(instance.run(...args), 'URL without credentials');
    }
    await refused(instance.run('run-service', 'router'), 'URL without credentials');
    await refused(upWith(secretEnvironment()), 'URL without credentials');
    await writeFile(yaml, text);
    expect(said.filter((one) => one.includes(secret))).toEqual([]);
    await assertNotWritten();
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
    execFileSync('chmod', ['600', path.join(instance.home, 'secrets', KEY_NAME)]);
  });

  it('and the bearer token is no more, once its retirement is followed to the end', async () => {
    await watchedForDays(9);
    const advice = (await instance.run('certs', 'migration')).stdout;
    const steps = [...advice.matchAll(/^ {2}\d+\. (.*)$/gm)].map(([, step]) => step ?? '');
    expect(steps.length).toBeGreaterThan(2);
    for (const step of steps) await follow(step);
    await expect(readFile(homePaths(instance.home).councilToken)).rejects.toThrow('ENOENT');
    await expect(
      fetch(`http://127.0.0.1:${plainPort}/v1/models`, {
        headers: { authorization: `Bearer ${secrets['the bearer token'] ?? ''}` },
      }),
    ).rejects.toThrow('fetch failed');
    expect(await askChat(await instance.url('router'))).toBeDefined();
    expect((await instance.run('certs', 'migration')).stdout).toContain('Bearer is retired');
  });

  let plainPort: number | undefined;

  /** Lets the counts begin earlier, while nobody writes them. */
  async function watchedForDays(days: number): Promise<void> {
    await instance.run('down');
    plainPort = ports()['engine.plain'];
    const folder = path.join(instance.home, 'state/transport');
    const since = new Date(Date.now() - days * 86_400_000).toISOString();
    for (const name of await readdir(folder)) {
      const record = JSON.parse(await readFile(path.join(folder, name), 'utf8')) as object;
      await writeFile(path.join(folder, name), JSON.stringify({ ...record, since }));
    }
  }

  /** Does what a line of advice says; fails for one that it does not understand. */
  async function follow(step: string): Promise<void> {
    const [verb = '', object = '', ...rest] = step.split(' ');
    if (verb === 'in') {
      const [, at = '', , value = ''] = rest;
      const document = parseDocument(await readFile(object, 'utf8'));
      document.setIn(at.split('.'), JSON.parse(value));
      await writeFile(object, document.toString());
    } else if (verb === 'remove') {
      await rm(object);
    } else {
      expect([verb, object]).toEqual(['run', 'sanctumctl']);
      const [command = ''] = rest;
      const result = command === 'up' ? upWith(secretEnvironment()) : instance.run(command);
      expect(await result).toMatchObject({ code: 0 });
    }
  }
});
