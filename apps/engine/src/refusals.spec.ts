import {
  appendFileSync,
  chmodSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { once } from 'node:events';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { homePaths } from '@sanctum/catalog';
import { initPki } from '@sanctum/identity';
import { EngineProcess } from './testing/engine-process.js';
import { sealModel } from './testing/sealed-model.js';

const hasIpv6 = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .some(({ address }) => address === '::1');

let root: string;
let count = 0;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'sanctum-engine-'));
});

afterAll(() => {
  rmSync(root, { recursive: true });
});

const fresh = (): string => join(root, `case-${count++}`);

/** Starts an engine that must not come up, and returns what it told the operator. */
async function refused(
  flags: readonly string[],
  environment: Record<string, string> = {},
): Promise<string> {
  const engine = EngineProcess.spawn(flags, environment);
  const served = engine.line('ready').then(() => engine.stop());
  const { code } = await Promise.race([engine.exited, served]);
  expect(code).toBe(1);
  expect(engine.lines.map(({ msg }) => msg)).not.toContain('ready');
  const lines = engine.stderr.trimEnd().split('\n');
  expect(lines).toHaveLength(1);
  return lines[0] ?? '';
}

function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  const place = at < 0 ? bytes.length + at : at;
  bytes[place] = (bytes[place] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

async function takePort(host: string): Promise<{ server: Server; port: string }> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  return { server, port: String((server.address() as AddressInfo).port) };
}

describe('the engine refuses to start, with one line that names', () => {
  it.each([
    ['first', 0],
    ['last', -1],
  ] as const)('the weight file whose %s byte was flipped', async (_which, at) => {
    const model = await sealModel(fresh());
    flip(join(model.dir, 'model.safetensors'), at);
    expect(await refused(model.flags)).toMatch(/model\.safetensors does not have the hash/);
  });

  it('a file that was added', async () => {
    const model = await sealModel(fresh());
    writeFileSync(join(model.dir, 'extra.py'), 'x');
    expect(await refused(model.flags)).toMatch(/extra\.py is not listed/);
  });

  it('a signature by another key', async () => {
    const model = await sealModel(fresh());
    appendFileSync(model.manifest, '# more\n');
    expect(await refused(model.flags)).toMatch(/\.sig was not made by any trusted key/);
  });

  it('a public key that is not there', async () => {
    const model = await sealModel(fresh());
    const flags = ['--model', model.dir, '--manifest-pubkey', '/nowhere/key', '--port', '0'];
    expect(await refused(flags)).toMatch(/public key \/nowhere\/key cannot be read/);
  });

  it('a truncated safetensors file, though its hash is signed', async () => {
    const model = await sealModel(fresh(), (dir) => {
      truncateSync(join(dir, 'model.safetensors'), 100_000);
    });
    expect(await refused(model.flags)).toMatch(/model\.safetensors/);
  });

  it('a safetensors header that lies about its length', async () => {
    const model = await sealModel(fresh(), (dir) => {
      flip(join(dir, 'model.safetensors'), 5);
    });
    expect(await refused(model.flags)).toMatch(/model\.safetensors/);
  });

  it('a tokenizer.json that is broken', async () => {
    const model = await sealModel(fresh(), (dir) => {
      truncateSync(join(dir, 'tokenizer.json'), 1000);
    });
    expect(await refused(model.flags)).toMatch(/tokenizer\.json/);
  });

  it('a tokenizer.json that is missing', async () => {
    const model = await sealModel(fresh(), (dir) => {
      rmSync(join(dir, 'tokenizer.json'));
    });
    expect(await refused(model.flags)).toMatch(/tokenizer\.json/);
  });

  it.each([
    [['--unknown-flag'], /--unknown-flag/],
    [['--library', '/nowhere/lib.so'], /\/nowhere\/lib\.so/],
  ])('what is wrong with %j', async (flags, message) => {
    const model = await sealModel(fresh());
    expect(await refused([...model.flags, ...flags])).toMatch(message);
  });

  it('a model, when none is named', async () => {
    const home = fresh();
    const model = await sealModel(home);
    expect(model.dir).toContain(home);
    writeFileSync(join(home, 'instance.yaml'), 'instance: {name: test}\nservices: {}\n');
    expect(await refused([], { SANCTUM_HOME: home })).toMatch(/No model is named/);
  });

  it('an unknown key in instance.yaml, with its path', async () => {
    const home = fresh();
    await sealModel(home);
    const text = 'instance: {name: test}\nservices: {engine: {model: padawan, modle: x}}\n';
    writeFileSync(join(home, 'instance.yaml'), text);
    const engine = EngineProcess.spawn([], { SANCTUM_HOME: home });
    expect((await engine.exited).code).toBe(1);
    expect(engine.stderr).toMatch(/services\.engine.*modle/s);
  });

  it('a token file that others may read', async () => {
    const model = await sealModel(fresh());
    const token = join(model.dir, '..', 'token');
    writeFileSync(token, 'a'.repeat(64));
    chmodSync(token, 0o644);
    expect(await refused([...model.flags, '--auth-token-file', token])).toMatch(/chmod 600/);
  });

  it.each([
    ['a certificate that expired', -40, /server\.crt expired on/],
    ['a certificate that is not valid yet', 40, /server\.crt is valid from/],
  ])('%s', async (_what, days, message) => {
    const home = homePaths(fresh());
    const now = new Date(Date.now() + days * 86_400_000);
    await initPki({ home, instance: 'test', identities: [], now });
    const model = await sealModel(home.models);
    expect(await refused(model.flags, { SANCTUM_HOME: home.home })).toMatch(message);
  });

  it('a key that cannot be read', async () => {
    const home = homePaths(fresh());
    await initPki({ home, instance: 'test', identities: [] });
    rmSync(home.server.key);
    const model = await sealModel(home.models);
    const line = await refused(model.flags, { SANCTUM_HOME: home.home });
    expect(line).toMatch(/private key .*server\.key cannot be read/);
  });

  it('a port that is taken', async () => {
    const taken = await takePort('127.0.0.1');
    const model = await sealModel(fresh());
    const line = await refused([...model.flags.slice(0, -2), '--port', taken.port]);
    expect(line).toContain(`127.0.0.1:${taken.port} is taken`);
    taken.server.close();
  });
});

if (!hasIpv6) {
  process.stderr.write('refusals.spec.ts: this machine has no ::1, so its port cannot be taken.\n');
} else {
  describe('the engine refuses to start without its way in', () => {
    it('when that is ::1 and its port is taken', async () => {
      const taken = await takePort('::1');
      const model = await sealModel(fresh());
      const flags = [...model.flags.slice(0, -2), '--host', '::1', '--port', taken.port];
      expect(await refused(flags)).toContain(`::1:${taken.port} is taken`);
      taken.server.close();
    });
  });
}
