import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { homePaths, type HomePaths } from '@sanctum/catalog';
import { initPki } from '@sanctum/identity';
import type { Environment } from '../env.js';
import { parseFlags } from './flags.js';
import { listenerOptions } from './listener-options.js';
import { resolveSettings, type EngineSettings } from './settings.js';

let home: HomePaths;

beforeEach(() => {
  home = homePaths(mkdtempSync(join(tmpdir(), 'sanctum-settings-')));
});

afterEach(() => {
  rmSync(home.home, { recursive: true });
});

function resolve(args: readonly string[], environment: Partial<Environment> = {}): EngineSettings {
  const base = { home: undefined, authDisabled: false, isa: undefined, watched: false };
  return resolveSettings(parseFlags(args, '0'), { ...base, ...environment });
}

function resolveHome(engine: object | undefined, args: readonly string[] = [], nats?: object) {
  const services = { ...(engine && { engine }), ...(nats && { nats }) };
  const file = JSON.stringify({ instance: { name: 'attic' }, services });
  writeFileSync(home.instanceFile, file);
  return resolve(args, { home: home.home });
}

describe('settings', () => {
  it('need no instance.yaml beside --model', () => {
    expect(resolve(['--model', '/m/tiny'])).toMatchObject({
      instance: 'local',
      home: undefined,
      model: {
        dir: '/m/tiny',
        trust: {
          manifest: '/m/tiny.manifest.sha256',
          signature: '/m/tiny.manifest.sha256.sig',
          publicKeys: ['/m/manifest-pubkey.ed25519'],
        },
      },
      plain: { hosts: ['127.0.0.1'], port: 1337 },
      tls: undefined,
      kernels: { mode: 'fast' },
      limits: { bodyBytesMax: 4 * 1024 * 1024, drainMs: 10_000 },
      bus: undefined,
      identity: 'spiffe://sanctum.local/svc/engine/g1',
    });
  });

  it('come from instance.yaml, in bytes and milliseconds', () => {
    const settings = resolveHome({
      model: 'models/tiny',
      model_name: 'tiny',
      threads: 2,
      compute_mode: 'exact',
      kv_values: 'f16',
      library: '/lib.so',
      limits: {
        ...{ metal_cache_limit_mb: 3, queue: 5, sequences: 2, batch_tokens: 64 },
        requests_per_client: 4,
        ...{ context_tokens: 100, completion_tokens: 9, body_mb: 1, request_read_s: 2, drain_s: 3 },
      },
    });
    expect(settings.instance).toBe('attic');
    expect(settings.model).toMatchObject({ dir: join(home.home, 'models/tiny'), name: 'tiny' });
    expect(settings.kernels).toEqual({
      ...{ mode: 'exact', threads: 2, keyValues: 'f16', library: '/lib.so' },
      cacheLimitBytes: 3 * 1024 * 1024,
    });
    expect(settings.limits).toEqual({
      scheduler: { queuedMax: 5, runningMax: 2, stepTokensMax: 64, contextTokensMax: 100 },
      ...{ perClientMax: 4, completionTokensMax: 9 },
      ...{ bodyBytesMax: 1024 * 1024, requestReadMs: 2000, drainMs: 3000 },
    });
  });

  it('let flags win', () => {
    const section = { model: '/a', manifest: { file: '/a.m' }, model_name: 'a', threads: 2 };
    const settings = resolveHome(section, [
      ...['--model', '/b', '--host', '10.0.0.1', '--port', '7', '--threads', '3'],
      ...['--metal-memory-limit-mb', '2', '--kv-values', 'f32', '--manifest-pubkey', '/k'],
    ]);
    expect(settings.model).toMatchObject({
      ...{ dir: '/b', name: undefined },
      trust: { manifest: '/b.manifest.sha256', publicKeys: ['/k'] },
    });
    expect(settings.plain).toEqual({ hosts: ['127.0.0.1', '10.0.0.1'], port: 7 });
    expect(settings.kernels).toMatchObject({
      ...{ threads: 3, keyValues: 'f32', memoryLimitBytes: 2 * 1024 * 1024 },
    });
  });

  it.each([
    [['0.0.0.0'], ['0.0.0.0']],
    [['::'], ['::']],
    [['localhost'], ['localhost']],
    [['::1'], ['::1']],
    [
      ['10.1.1.1', '127.0.0.2'],
      ['10.1.1.1', '127.0.0.2'],
    ],
    [['10.1.1.1'], ['127.0.0.1', '10.1.1.1']],
  ])('always hold a way in from this machine: %j', (hosts, expected) => {
    const args = hosts.flatMap((host) => ['--host', host]);
    expect(resolve(['--model', '/m', ...args]).plain?.hosts).toEqual(expected);
  });

  it.each(['127.0.0.1', '127.0.0.2', '::1', 'localhost', '0.0.0.0', '::'])(
    'must bind %s, where no other address is added for this machine',
    async (host) => {
      const { plain } = resolve(['--model', '/m', '--host', host]);
      const listeners = await listenerOptions({ plain, tls: undefined });
      expect(listeners.map((listener) => [listener.host, listener.optional])).toEqual([
        [host, false],
      ]);
    },
  );

  it('open the mTLS listener when a certificate is found, named or asked for', async () => {
    expect(resolveHome({ model: 'm' }).tls).toBeUndefined();
    expect(resolveHome({ model: 'm', listeners: { tls: { cert: '/c' } } }).tls?.files.cert).toBe(
      '/c',
    );
    expect(resolveHome({ model: 'm' }, ['--tls-port', '9']).tls?.port).toBe(9);
    await initPki({ home, instance: 'attic', identities: ['engine'] });
    const found = resolveHome({ model: 'm' });
    expect(found.tls?.files).toEqual({ ca: home.ca.cert, ...home.server });
    expect(found.identity).toBe('spiffe://sanctum.attic/svc/engine/g1');
    expect(resolveHome({ model: 'm' }, ['--no-plain']).plain).toBeUndefined();
    const listeners = await listenerOptions({
      plain: { hosts: ['127.0.0.1', '10.9.9.9'], port: 1 },
      tls: found.tls,
    });
    expect(listeners.map(({ name, optional }) => [name, optional])).toEqual([
      ['plain', false],
      ['plain 10.9.9.9', true],
      ['mtls', false],
    ]);
    expect(listeners[2]?.tls).toMatchObject({ paths: { ca: home.ca.cert, ...home.server } });
  });

  it('connect to NATS when the instance has one and the engine an identity', async () => {
    expect(resolveHome({ model: 'm' }, [], { port: 4333 }).bus).toBeUndefined();
    await initPki({ home, instance: 'attic', identities: ['engine'] });
    expect(resolveHome({ model: 'm' }, [], { port: 4333 }).bus).toEqual({
      url: 'tls://127.0.0.1:4333',
      tls: { ca: home.ca.cert, ...home.client('engine') },
      spoolFile: join(home.spool, 'engine.jsonl'),
    });
    expect(resolveHome({ model: 'm' }, [], { enabled: false }).bus).toBeUndefined();
  });

  it('take the token by name or by convention', () => {
    mkdirSync(home.secrets);
    expect(resolveHome({ model: 'm' }).auth.tokenFile).toEqual({
      ...{ path: home.councilToken, named: false },
    });
    expect(resolve(['--model', '/m', '--auth-token-file', '/t']).auth.tokenFile).toEqual({
      ...{ path: '/t', named: true },
    });
    expect(resolve(['--model', '/m'], { authDisabled: true }).auth.disabled).toBe(true);
  });

  it.each([
    [['--model', '/m', '--port', '70000'], /--port.*0 to 65535/],
    [['--model', '/m', '--port', '1e3'], /--port/],
    [['--model', '/m', '--threads', '0'], /--threads/],
    [['--model', '/m', '--compute-mode', 'quick'], /--compute-mode.*exact, fast/],
    [['--model', '/m', '--no-plain'], /nothing to listen on/],
    [['--model', '/m', '--adapter-path', '/a'], /--adapter-path/],
    [['--model', '/m', '--kv-values', '4'], /--kv-values 4/],
    [['--model', '/m', '--tls-port', '1'], /mTLS listener needs certificates/],
    [['--model', '/m', 'stray'], /too many arguments/],
    [['--model'], /argument missing/],
    [[], /instance\.yaml/],
  ])('refuse %j', (args, message) => {
    expect(() => resolve(args, args.length === 0 ? { home: '/nowhere' } : {})).toThrow(message);
  });

  it('refuse an adapter in instance.yaml, and a home without a model', () => {
    expect(() => resolveHome({ model: 'm', adapter_path: 'a' })).toThrow(/adapter/);
    expect(() => resolveHome(undefined)).toThrow(/No model is named/);
  });
});
