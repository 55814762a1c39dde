import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHome, type HomePaths } from '@sanctum/catalog';
import { readKeyRing, revokedName } from './key-ring.js';
import type { ManifestHeader } from './manifest-text.js';
import { openVerified, readSignedManifest, type VerifiedModel } from './open-verified.js';
import { EXCEPTION_DAYS_MAX, exceptionFile, writeException } from './rollback-exception.js';
import { keyIdOf, publicKeyOf } from './signature.js';
import { TrustState } from './trust-state.js';
import {
  composeManifest,
  readSigningKey,
  signManifestFile,
  writeSigningKeys,
} from './write-manifest.js';

let root: string;
let home: HomePaths;
let dir: string;
let keys: string;
let manifest: string;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'sanctum-manifest-trust-'));
  home = createHome(join(root, 'home'));
  dir = join(root, 'tiny');
  keys = join(root, 'trust');
  manifest = `${dir}.manifest.sha256`;
  mkdirSync(dir);
  mkdirSync(keys);
  writeFileSync(join(dir, 'config.json'), '{}');
  writeFileSync(join(dir, 'model.safetensors'), Buffer.alloc(300_000, 7));
  makeKey('one');
  await seal({ version: 5 });
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A pair whose public half is trusted; the private one lies elsewhere. */
function makeKey(name: string): string {
  const privateKey = join(root, `${name}.key`);
  writeSigningKeys({ publicKey: join(keys, `${name}.ed25519`), privateKey });
  return keyIdOf(publicKeyOf(readSigningKey(privateKey)));
}

async function seal(header: ManifestHeader, key = 'one'): Promise<void> {
  const privateKey = join(root, `${key}.key`);
  const keyId = keyIdOf(publicKeyOf(readSigningKey(privateKey)));
  writeFileSync(manifest, await composeManifest(dir, { model: 'tiny', keyId, ...header }));
  signManifestFile({ manifest, signature: `${manifest}.sig`, privateKey });
}

/** One load on this machine, as the engine does it. */
async function load(now = new Date()): Promise<{ alerts: string[]; keyId: string }> {
  const model = await openVerified({
    dir,
    manifest,
    signature: `${manifest}.sig`,
    publicKeys: [keys],
    trust: TrustState.open(home),
    now,
  });
  model.recordServed();
  model.close();
  return { alerts: model.alerts.map(({ kind }) => kind), keyId: model.keyId };
}

function permit(days = 7, key = 'one'): void {
  const paths = { manifest, signature: `${manifest}.sig`, publicKeys: [keys] };
  const { manifest: parsed, digest } = readSignedManifest(paths);
  writeException({
    manifest,
    subject: { model: 'tiny', version: parsed.header.version ?? 0, digest, reason: 'it regressed' },
    days,
    privateKey: readSigningKey(join(root, `${key}.key`)),
  });
}

describe('a machine that served version 5', () => {
  beforeEach(async () => {
    await load();
  });

  it('refuses version 4 until the operator signs an exception for it', async () => {
    await seal({ version: 4 });
    await expect(load()).rejects.toThrow(/is version 4 of tiny; this machine has served version 5/);
    permit();
    expect((await load()).alerts).toEqual(['rollback_excepted']);
    await seal({ version: 5 });
    expect((await load()).alerts).toEqual([]);
  });

  it('lets an exception end, and does not take it for another manifest', async () => {
    await seal({ version: 4 });
    permit(1);
    const later = new Date(Date.now() + 25 * 3600 * 1000);
    await expect(load(later)).rejects.toThrow(/\.rollback expired on/);
    await load();
    writeFileSync(join(dir, 'config.json'), '{"changed":1}');
    await seal({ version: 4 });
    await expect(load()).rejects.toThrow(/\.rollback speaks of another manifest/);
  });

  it('refuses an exception that was changed, or signed by a stranger', async () => {
    await seal({ version: 4 });
    permit();
    const file = exceptionFile(manifest);
    const envelope = JSON.parse(readFileSync(file, 'utf8')) as { payload: string };
    const payload = Buffer.from(envelope.payload, 'base64').toString();
    const longer = payload.replace(/"expiresAt":"\d{4}/, '"expiresAt":"9999');
    writeFileSync(file, JSON.stringify({ ...envelope, payload: btoa(longer) }));
    await expect(load()).rejects.toThrow(/\.rollback was not made by any trusted key/);
    makeKey('stranger');
    rmSync(join(keys, 'stranger.ed25519'));
    permit(7, 'stranger');
    await expect(load()).rejects.toThrow(/\.rollback was not made by any trusted key/);
    writeFileSync(file, 'not json');
    await expect(load()).rejects.toThrow(/\.rollback is not JSON/);
  });

  it('does not take a signature over a manifest for one over an exception', async () => {
    await seal({ version: 4 });
    permit();
    const file = exceptionFile(manifest);
    const envelope = JSON.parse(readFileSync(file, 'utf8')) as object;
    const sig = readFileSync(`${manifest}.sig`).toString('base64');
    const payload = readFileSync(manifest).toString('base64');
    writeFileSync(file, JSON.stringify({ ...envelope, payload, signatures: [{ sig }] }));
    await expect(load()).rejects.toThrow(/\.rollback was not made by any trusted key/);
  });

  it('refuses to sign an exception for longer than is sensible', async () => {
    await seal({ version: 4 });
    permit(EXCEPTION_DAYS_MAX);
    expect(() => permit(EXCEPTION_DAYS_MAX + 1)).toThrow(/between one and 90 days, not 91/);
    expect(() => permit(0)).toThrow(/not 0/);
  });

  it('notices that its memory is gone rather than start from the beginning', async () => {
    rmSync(home.manifestTrustFile);
    await seal({ version: 4 });
    await expect(load()).rejects.toThrow(/manifest-trust\.json is gone/);
  });
});

describe('an expired manifest', () => {
  const expires = new Date('2027-01-01T00:00:00Z');
  const before = new Date('2026-12-31T23:59:59Z');
  const after = new Date('2027-01-01T00:00:00Z');

  it('is refused where it was never served, and goes on where it was', async () => {
    await seal({ version: 5, expires });
    await expect(load(after)).rejects.toThrow(/expired on 2027-01-01.*has not served it before/);
    await load(before);
    expect((await load(after)).alerts).toEqual(['expired']);
  });

  it('is refused without a home to remember it', async () => {
    await seal({ version: 5, expires });
    const paths = { manifest, signature: `${manifest}.sig`, publicKeys: [keys] };
    await expect(openVerified({ dir, ...paths, now: after })).rejects.toThrow(/expired on/);
  });
});

describe('a rotation of keys', () => {
  it('trusts two at once, then one: what the archived key signs is refused', async () => {
    const first = await load();
    const second = makeKey('two');
    expect((await load()).keyId).toBe(first.keyId);
    await seal({ version: 6 }, 'two');
    expect((await load()).keyId).toBe(second);
    const archived = revokedName('one.ed25519', new Date('2026-11-30T12:00:00Z'));
    expect(archived).toBe('one.ed25519.revoked-2026-11-30');
    renameSync(join(keys, 'one.ed25519'), join(keys, archived));
    expect((await load()).keyId).toBe(second);
    await seal({ version: 7 }, 'one');
    await expect(load()).rejects.toThrow(
      new RegExp(`was signed by key ${first.keyId}, which was revoked on 2026-11-30`),
    );
  });

  it('does not trust an archived key under another name', async () => {
    copyFileSync(join(keys, 'one.ed25519'), join(keys, 'again.ed25519'));
    renameSync(join(keys, 'one.ed25519'), join(keys, 'one.ed25519.revoked-2026-11-30'));
    makeKey('two');
    await expect(load()).rejects.toThrow(/was revoked on 2026-11-30/);
    expect(readKeyRing([keys]).trusted).toHaveLength(1);
  });

  it('finds archived keys beside a key that is named as a file', () => {
    renameSync(join(keys, 'one.ed25519'), join(keys, 'one.ed25519.revoked-2026-11-30'));
    makeKey('two');
    const paths = { manifest, signature: `${manifest}.sig` };
    const named = { ...paths, publicKeys: [join(keys, 'two.ed25519')] };
    expect(() => readSignedManifest(named)).toThrow(/was revoked on 2026-11-30/);
  });

  it('refuses an exception signed by an archived key', async () => {
    await load();
    makeKey('two');
    await seal({ version: 4 }, 'two');
    permit(7, 'two');
    makeKey('three');
    await load();
    permit(7, 'one');
    renameSync(join(keys, 'one.ed25519'), join(keys, 'one.ed25519.revoked-2026-11-30'));
    TrustState.open(home).recordServed({
      ...{ model: 'tiny', header: { version: 6 }, digest: 'c'.repeat(64), source: manifest },
      keyId: keyIdOf(readFileSync(join(keys, 'two.ed25519'))),
    });
    await expect(load()).rejects.toThrow(/\.rollback was signed by key .*, which was revoked/);
  });
});

describe('while files are swapped and written to', () => {
  const WRITER = `
    const { openSync, writeSync, closeSync, renameSync, writeFileSync } = require('node:fs');
    const [mode, file, beatFile] = process.argv.slice(2);
    const beats = openSync(beatFile, 'w');
    let stop = false;
    process.on('message', () => { stop = true; });
    const fd = openSync(file, 'r+');
    const beat = () => {
      if (stop) { closeSync(fd); process.disconnect(); return; }
      if (mode === 'in-place') writeSync(fd, Buffer.from([7]), 0, 1, 0);
      else { writeFileSync(file + '.new', 'evil'); renameSync(file + '.new', file); }
      writeSync(beats, '.');
      setImmediate(beat);
    };
    process.send('ready');
    beat();
  `;

  async function against(mode: string, work: () => Promise<void>): Promise<void> {
    const script = join(root, 'writer.cjs');
    writeFileSync(script, WRITER);
    const writer = fork(script, [mode, join(dir, 'model.safetensors'), beatFile()]);
    await once(writer, 'message');
    try {
      await work();
    } finally {
      writer.send('stop');
      await once(writer, 'exit');
    }
  }

  const beatFile = (): string => join(root, 'beats');

  /** A whole write of the other process has passed: the second beat from here began after the first. */
  function awaitWrite(): void {
    const since = statSync(beatFile()).size;
    const deadlineMs = performance.now() + 20_000;
    while (statSync(beatFile()).size < since + 2) {
      if (performance.now() > deadlineMs) throw new Error('the writer writes no more');
    }
  }

  async function attempt(onProgress?: () => void): Promise<VerifiedModel | string> {
    const paths = { manifest, signature: `${manifest}.sig`, publicKeys: [keys] };
    return openVerified({ dir, ...paths, ...(onProgress && { onProgress }) }).catch(
      (error: unknown) => String(error),
    );
  }

  it('refuses a file that another process keeps writing to in place', async () => {
    await against('in-place', async () => {
      for (let round = 0; round < 20; round += 1) {
        const found = await attempt(awaitWrite);
        // The writer puts the byte there that the manifest lists: only its writing gives it away.
        expect(found).toMatch(/model\.safetensors was changed while it was being verified/);
      }
    });
  });

  it('serves the bytes it proved whatever is renamed over them', async () => {
    const good = readFileSync(join(dir, 'model.safetensors'));
    const paths = { manifest, signature: `${manifest}.sig`, publicKeys: [keys] };
    let swapped = false;
    const found = await openVerified({
      ...{ dir, ...paths },
      onProgress: () => {
        if (swapped) return;
        swapped = true;
        writeFileSync(join(root, 'evil.bin'), Buffer.alloc(300_000, 8));
        renameSync(join(root, 'evil.bin'), join(dir, 'model.safetensors'));
      },
    });
    expect(swapped).toBe(true);
    found.assertUnchanged();
    const fd = found.files.find(({ name }) => name === 'model.safetensors')?.fd ?? -1;
    const bytes = Buffer.alloc(good.length);
    readSync(fd, bytes, 0, bytes.length, 0);
    expect(bytes.equals(good)).toBe(true);
    found.close();
    expect(await attempt()).toMatch(/model\.safetensors does not have the hash/);
  });

  it('never serves a byte that another process renames into place', async () => {
    const good = readFileSync(join(dir, 'model.safetensors'));
    await against('rename', async () => {
      for (let round = 0; round < 20; round += 1) {
        writeFileSync(join(root, 'good.bin'), good);
        renameSync(join(root, 'good.bin'), join(dir, 'model.safetensors'));
        const found = await attempt();
        if (typeof found === 'string') {
          expect(found).toMatch(/does not have the hash|is not listed|is listed|was changed while/);
          continue;
        }
        const fd = found.files.find(({ name }) => name === 'model.safetensors')?.fd ?? -1;
        const bytes = Buffer.alloc(good.length);
        readSync(fd, bytes, 0, bytes.length, 0);
        expect(bytes.equals(good)).toBe(true);
        found.close();
      }
    });
  });

  it('refuses a file written to and then unlinked, its time of change put back', async () => {
    const weights = join(dir, 'model.safetensors');
    const paths = { manifest, signature: `${manifest}.sig`, publicKeys: [keys] };
    utimesSync(weights, 1_000, 1_000);
    const found = await openVerified({ dir, ...paths });
    const writer = openSync(weights, 'r+');
    writeSync(writer, Buffer.from([9]), 0, 1, 0);
    closeSync(writer);
    utimesSync(weights, 1_000, 1_000);
    unlinkSync(weights);
    expect(() => found.assertUnchanged()).toThrow(/model\.safetensors was changed/);
    found.close();
  });

  it('opens each file of the model once', async () => {
    const source = fileURLToPath(new URL('./open-verified.ts', import.meta.url));
    const once = join(root, 'once.mjs');
    writeFileSync(once, onceProgram(source));
    const paths = { manifest, signature: `${manifest}.sig`, publicKeys: [keys] };
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...['--no-warnings', '--conditions=@sanctum/source', '--import', SOURCE_HOOKS, once],
      JSON.stringify({ dir, ...paths }),
    ]);
    const opened = (JSON.parse(stdout) as string[]).filter((path) => path.startsWith(root));
    expect(opened.filter((path) => path.startsWith(dir)).length).toBeGreaterThanOrEqual(4);
    expect(opened).toEqual([...new Set(opened)]);
  });
});

const SOURCE_HOOKS = fileURLToPath(
  new URL('../../testing/src/source-register.mjs', import.meta.url),
);

/** Verifies a model in a process of its own and prints every path that was opened for it. */
function onceProgram(source: string): string {
  return `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    const opened = [];
    for (const name of ['openSync', 'readFileSync']) {
      const real = fs[name];
      fs[name] = (path, ...rest) => {
        if (typeof path === 'string') opened.push(path);
        return real(path, ...rest);
      };
    }
    syncBuiltinESMExports();
    const { openVerified } = await import(${JSON.stringify(source)});
    (await openVerified(JSON.parse(process.argv[2]))).close();
    console.log(JSON.stringify(opened));
  `;
}
