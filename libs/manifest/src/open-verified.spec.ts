import { execFile } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { MANIFEST_ENTRIES_MAX } from './manifest-text.js';
import { PUBLIC_KEYS_MAX } from './signature.js';
import { openVerified, type OpenVerifiedOptions, type VerifiedModel } from './open-verified.js';
import { composeManifest, signManifestFile, writeSigningKeys } from './write-manifest.js';

const run = promisify(execFile);
let root: string;
let dir: string;
let paths: Record<'manifest' | 'signature' | 'publicKey' | 'privateKey', string>;
let opened: VerifiedModel[] = [];

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'sanctum-manifest-'));
  dir = join(root, 'tiny');
  mkdirSync(join(dir, 'nested'), { recursive: true });
  writeFileSync(join(dir, 'config.json'), '{}');
  writeFileSync(join(dir, 'model.safetensors'), Buffer.alloc(300_000, 7));
  writeFileSync(join(dir, 'nested', 'vocab.txt'), 'a b c');
  paths = {
    manifest: join(root, 'tiny.manifest.sha256'),
    signature: join(root, 'tiny.manifest.sha256.sig'),
    publicKey: join(root, 'manifest-pubkey.ed25519'),
    privateKey: join(root, 'manifest.key'),
  };
  writeSigningKeys(paths);
  await seal();
});

afterEach(() => {
  for (const model of opened) model.close();
  opened = [];
  rmSync(root, { recursive: true, force: true });
});

async function seal(change: (text: string) => string = (text) => text): Promise<void> {
  const text = await composeManifest(dir, { model: 'tiny', version: 3 });
  writeFileSync(paths.manifest, change(text));
  signManifestFile(paths);
}

async function open(change: Partial<OpenVerifiedOptions> = {}): Promise<VerifiedModel> {
  const { manifest, signature, publicKey } = paths;
  const model = await openVerified({
    dir,
    manifest,
    signature,
    publicKeys: [publicKey],
    ...change,
  });
  opened.push(model);
  return model;
}

/** Descriptors this process holds on files below the test's folder, where the system can tell. */
function openDescriptors(): string[] {
  if (!existsSync('/proc/self/fd')) return [];
  return readdirSync('/proc/self/fd')
    .map(targetOf)
    .filter((target) => target.startsWith(root));
}

/** Empty for one that was closed meanwhile, as that of the list itself. */
function targetOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}

describe('openVerified', () => {
  it('hands over the files it hashed, open, in the order of the manifest', async () => {
    const model = await open();
    expect(model.files.map(({ name, size }) => [name, size])).toEqual([
      ['config.json', 2],
      ['model.safetensors', 300_000],
      ['nested/vocab.txt', 5],
    ]);
    const buffer = Buffer.alloc(5);
    readSync(model.files[2]?.fd ?? -1, buffer, 0, 5, 0);
    expect(buffer.toString()).toBe('a b c');
    expect(model.header).toEqual({ model: 'tiny', version: 3 });
    const { stdout } = await run('sha256sum', [paths.manifest]);
    expect(stdout.slice(0, 64)).toBe(model.digest);
  });

  it('writes what sha256sum checks', async () => {
    const { stdout } = await run('sha256sum', ['--strict', '-c', paths.manifest], { cwd: dir });
    expect(stdout.split('\n').filter((line) => line.endsWith(': OK'))).toHaveLength(3);
  });

  it('reads what sha256sum writes', async () => {
    const { stdout } = await run('sha256sum', ['-b', 'config.json', 'nested/vocab.txt'], {
      cwd: dir,
    });
    unlinkSync(join(dir, 'model.safetensors'));
    writeFileSync(paths.manifest, stdout);
    signManifestFile(paths);
    expect((await open()).files).toHaveLength(2);
  });

  it('accepts any of several keys and says which one signed', async () => {
    const second = { publicKey: join(root, 'b.pub'), privateKey: join(root, 'b.key') };
    writeSigningKeys(second);
    const both = { publicKeys: [second.publicKey, paths.publicKey] };
    const before = await open(both);
    signManifestFile({ ...paths, privateKey: second.privateKey });
    const after = await open(both);
    expect(after.keyId).not.toBe(before.keyId);
    await expect(open()).rejects.toThrow(/not made by any trusted key \(.*manifest-pubkey/);
  });

  it('reports progress up to the last byte', async () => {
    const seen: number[] = [];
    await open({ onProgress: ({ hashedBytes }) => seen.push(hashedBytes) });
    expect(seen.at(-1)).toBe(300_007);
    expect([...seen].sort((a, b) => a - b)).toEqual(seen);
  });

  it('hashes with more threads than files just the same', async () => {
    writeFileSync(join(dir, 'big.bin'), Buffer.alloc(70 * 1024 * 1024, 1));
    await seal();
    const digests = await Promise.all([open({ threads: 1 }), open({ threads: 8 })]);
    expect(digests[0].digest).toBe(digests[1].digest);
  });
});

/** Each entry tampers with one thing; the message must name what is at fault. */
const CORPUS: readonly (readonly [string, () => void | Promise<void>, RegExp])[] = [
  ['a flipped byte', () => flip('model.safetensors'), /model\.safetensors does not have the hash/],
  [
    'a truncated file',
    () => truncateSync(join(dir, 'model.safetensors'), 299_999),
    /model\.safetensors does not have the hash/,
  ],
  [
    'an appended byte',
    () => appendFileSync(join(dir, 'config.json'), ' '),
    /config\.json does not have the hash/,
  ],
  [
    'a missing file',
    () => unlinkSync(join(dir, 'config.json')),
    /config\.json is listed in .* miss/,
  ],
  [
    'an unlisted file',
    () => writeFileSync(join(dir, 'nested', 'extra.bin'), 'x'),
    /nested\/extra\.bin is not listed/,
  ],
  ['a hidden unlisted file', () => writeFileSync(join(dir, '.env'), 'x'), /\.env is not listed/],
  [
    'a symlink with the right content',
    () => {
      renameSync(join(dir, 'config.json'), join(root, 'elsewhere.json'));
      symlinkSync(join(root, 'elsewhere.json'), join(dir, 'config.json'));
    },
    /config\.json is a symbolic link/,
  ],
  [
    'a folder that is a symlink',
    () => {
      renameSync(join(dir, 'nested'), join(root, 'nested'));
      symlinkSync(join(root, 'nested'), join(dir, 'nested'));
    },
    /nested is a symbolic link/,
  ],
  [
    'a pipe in place of a file',
    async () => {
      unlinkSync(join(dir, 'config.json'));
      await run('mkfifo', [join(dir, 'config.json')]);
    },
    /config\.json is not a plain file/,
  ],
  [
    'one listed twice',
    () => seal((text) => text + lastLine(text)),
    /lists nested\/vocab\.txt a second/,
  ],
  [
    'a climbing path',
    () => seal((text) => text + entry('../secret')),
    /"\.\.\/secret", which climbs/,
  ],
  [
    'an absolute path',
    () => seal((text) => text + entry('/etc/passwd')),
    /"\/etc\/passwd", which is abs/,
  ],
  ['a dotted path', () => seal((text) => text + entry('./config.json')), /empty or "\." segment/],
  ['a backslash', () => seal((text) => text + entry('a\\b')), /control character or backslash/],
  ['an upper-case digest', () => seal((text) => text.toUpperCase()), /is not "<64 hex/],
  [
    'a short digest',
    () => seal((text) => text.replace(/^[0-9a-f]/m, '')),
    /is not "<64 hex digits>/,
  ],
  ['an empty line', () => seal((text) => `${text}\n`), /sha256:6 is not "<64 hex/],
  [
    'a Windows line end',
    () => seal((text) => text.replaceAll('\n', '\r\n')),
    /manifest\.sha256:1 /,
  ],
  ['a cut manifest', () => seal((text) => text.slice(0, -1)), /does not end with a line feed/],
  ['an empty manifest', () => seal(() => '# nothing\n'), /lists no file/],
  [
    'an unknown comment',
    () => seal((text) => `# sanctum-expiry: x\n${text}`),
    /not a known comment/,
  ],
  ['a bad version', () => seal((text) => text.replace('version: 3', 'version: 3b')), /not a known/],
  [
    'a header twice',
    () => seal((text) => `# sanctum-version: 4\n${text}`),
    /repeats sanctum-version/,
  ],
  [
    'an expired manifest',
    () => seal((text) => `# sanctum-expires: 2020-01-01T00:00:00Z\n${text}`),
    /expired on 2020-01-01/,
  ],
  [
    'a key id that did not sign',
    () => seal((text) => `# sanctum-key-id: 0123456789abcdef\n${text}`),
    /names key 0123456789abcdef but was signed by/,
  ],
  [
    'a manifest changed after signing',
    () => appendFileSync(paths.manifest, '# harmless\n'),
    /\.sig was not made by any trusted key/,
  ],
  ['a short signature', () => truncateSync(paths.signature, 63), /\.sig has 63 bytes/],
  ['a long signature', () => appendFileSync(paths.signature, 'x'), /\.sig has 65 bytes/],
  [
    'a hexadecimal signature',
    () => writeFileSync(paths.signature, readFileSync(paths.signature).toString('hex')),
    /\.sig has 128 bytes/,
  ],
  [
    'a signature of zeros',
    () => writeFileSync(paths.signature, Buffer.alloc(64)),
    /any trusted key/,
  ],
  ['no signature', () => unlinkSync(paths.signature), /signature .*\.sig cannot be read: ENOENT/],
  ['no manifest', () => unlinkSync(paths.manifest), /manifest .*sha256 cannot be read: ENOENT/],
  ['a short key', () => truncateSync(paths.publicKey, 31), /manifest-pubkey\.ed25519 has 31 bytes/],
  [
    'a key of zeros, under which a signature of zeros would verify',
    () => {
      writeFileSync(paths.publicKey, Buffer.alloc(32));
      writeFileSync(paths.signature, Buffer.alloc(64));
    },
    /manifest-pubkey\.ed25519 is no key/,
  ],
];

describe('openVerified refuses', () => {
  it.each(CORPUS)('%s', async (_what, tamper, message) => {
    await tamper();
    await expect(open()).rejects.toMatchObject({
      code: 'manifest_refused',
      message: expect.stringMatching(message),
    });
    expect(openDescriptors()).toEqual([]);
  });

  it('every single flipped byte of the manifest and of the signature', async () => {
    for (const path of [paths.manifest, paths.signature]) {
      const good = readFileSync(path);
      for (let at = 0; at < good.length; at += 7) {
        const bad = Buffer.from(good);
        bad[at] = (bad[at] ?? 0) ^ 0x10;
        writeFileSync(path, bad);
        await expect(open()).rejects.toThrow(/trusted key/);
      }
      writeFileSync(path, good);
    }
    await open();
  });

  it('a manifest without a header when one is required', async () => {
    await expect(open({ requireHeader: true })).rejects.toThrow(/lacks sanctum-model/);
  });

  it('to check without a key, or with more than a rotation needs', async () => {
    await expect(open({ publicKeys: [] })).rejects.toThrow(/public keys are needed/);
    const many = Array<string>(PUBLIC_KEYS_MAX).fill(paths.publicKey);
    await open({ publicKeys: many });
    await expect(open({ publicKeys: [...many, paths.publicKey] })).rejects.toThrow(
      /keys are needed/,
    );
  });

  it('a folder with more files than a manifest may list', async () => {
    for (let index = 0; index < MANIFEST_ENTRIES_MAX; index += 1) {
      writeFileSync(join(dir, `f${index}`), '');
    }
    await expect(open()).rejects.toThrow(/tiny holds more than 16384 files/);
  });

  it('a file written to in place while it is hashed, though its hash was good', async () => {
    const weights = join(dir, 'model.safetensors');
    const writer = openSync(weights, 'r+');
    const tampering = open({
      onProgress: () => writeSync(writer, Buffer.from([7]), 0, 1, 0),
    });
    await expect(tampering).rejects.toThrow(/model\.safetensors was changed while/);
    closeSync(writer);
  });

  it('a file written to in place after it was verified, when asked again', async () => {
    const model = await open();
    model.assertUnchanged();
    flip('config.json');
    expect(() => model.assertUnchanged()).toThrow(/config\.json was changed/);
  });

  it('nothing when a file is swapped by rename: the descriptor stays with the proven one', async () => {
    const model = await open();
    const other = join(root, 'evil.json');
    writeFileSync(other, '[]');
    renameSync(other, join(dir, 'config.json'));
    const buffer = Buffer.alloc(2);
    readSync(model.files[0]?.fd ?? -1, buffer, 0, 2, 0);
    expect(buffer.toString()).toBe('{}');
  });

  it('to keep descriptors after close', async () => {
    const model = await open();
    opened = [];
    model.close();
    expect(() => fstatSync(model.files[0]?.fd ?? -1)).toThrow(/EBADF/);
  });
});

function flip(name: string): void {
  const path = join(dir, name);
  const bytes = readFileSync(path);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

function entry(path: string): string {
  return `${'0'.repeat(64)}  ${path}\n`;
}

function lastLine(text: string): string {
  return `${text.split('\n').at(-2) ?? ''}\n`;
}
