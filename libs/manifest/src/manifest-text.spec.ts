import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  formatManifest,
  MANIFEST_BYTES_MAX,
  MANIFEST_ENTRIES_MAX,
  MANIFEST_PATH_BYTES_MAX,
  parseManifest,
  type Manifest,
} from './manifest-text.js';
import {
  generateSigningKeys,
  keyIdOf,
  publicKeyOf,
  signManifest,
  verifySignature,
} from './signature.js';
import { readSigningKey, writeSigningKeys } from './write-manifest.js';

const digest = fc.stringMatching(/^[0-9a-f]{64}$/);
const segment = fc.stringMatching(/^[A-Za-z0-9_ -][A-Za-z0-9_. äß€-]{0,12}$/);
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
const manifest: fc.Arbitrary<Manifest> = fc.record({
  header: fc.record(
    {
      model: fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,20}$/),
      version: fc.integer({ min: 1, max: 999_999_999 }),
      expires: fc.date({
        min: new Date('2000-01-01'),
        max: new Date('2999-12-31'),
        noInvalidDate: true,
      }),
      keyId: fc.stringMatching(/^[0-9a-f]{16}$/),
    },
    { requiredKeys: [] },
  ),
  entries: fc.uniqueArray(fc.record({ path, digest }), {
    minLength: 1,
    selector: (entry) => entry.path,
  }),
});
const parse = (text: string): Manifest => parseManifest(Buffer.from(text), 'm');
const line = (name: string): string => `${'a'.repeat(64)}  ${name}\n`;

describe('manifest text', () => {
  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(manifest, (written) => {
        const read = parse(formatManifest(written));
        expect(read.header).toEqual(written.header);
        expect(new Map(read.entries.map((entry) => [entry.path, entry.digest]))).toEqual(
          new Map(written.entries.map((entry) => [entry.path, entry.digest])),
        );
        expect(formatManifest(read)).toBe(formatManifest(written));
      }),
    );
  });

  it('either reads arbitrary bytes or refuses them with a reason', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        try {
          parseManifest(bytes, 'm');
        } catch (error) {
          expect(error).toMatchObject({ code: 'manifest_refused' });
        }
      }),
    );
  });

  it('holds to its limits', () => {
    const many = Array.from({ length: MANIFEST_ENTRIES_MAX }, (_, index) => line(`f${index}`));
    expect(parse(many.join('')).entries).toHaveLength(MANIFEST_ENTRIES_MAX);
    expect(() => parse(many.join('') + line('last'))).toThrow(/one file too many/);
    expect(parse(line('p'.repeat(MANIFEST_PATH_BYTES_MAX))).entries).toHaveLength(1);
    expect(() => parse(line('p'.repeat(MANIFEST_PATH_BYTES_MAX + 1)))).toThrow(/longer than 1024/);
    expect(() => parse(`#${' '.repeat(MANIFEST_BYTES_MAX)}\n`)).toThrow(/larger than/);
  });

  it('refuses what is not UTF-8', () => {
    expect(() => parseManifest(Buffer.from([0x23, 0xff, 0x0a]), 'm')).toThrow(/not UTF-8/);
  });
});

describe('signatures', () => {
  it('verify what was signed and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), fc.nat(), (bytes, at) => {
        const { publicKey, privateKey } = generateSigningKeys();
        const keys = [{ source: 'key', bytes: publicKey }];
        const signature = signManifest(bytes, privateKey);
        expect(signature).toHaveLength(64);
        const check = { signature, keys, source: 'sig' };
        expect(verifySignature({ ...check, manifest: bytes })).toBe(keys[0]);
        const other = Uint8Array.from(bytes);
        other[at % bytes.length] = (other[at % bytes.length] ?? 0) ^ 1;
        expect(() => verifySignature({ ...check, manifest: other })).toThrow(/trusted key/);
      }),
      { numRuns: 30 },
    );
  });

  it('use the keys of RFC 8032, test 2', () => {
    const seed = Buffer.from(
      '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
      'hex',
    );
    const key = '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c';
    expect(publicKeyOf(seed).toString('hex')).toBe(key);
    expect(signManifest(Buffer.from([0x72]), seed).toString('hex')).toBe(
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
        '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    );
    expect(keyIdOf(Buffer.from(key, 'hex'))).toMatch(/^[0-9a-f]{16}$/);
  });

  it('keep the private key to its owner', () => {
    const root = mkdtempSync(join(tmpdir(), 'sanctum-keys-'));
    const paths = { publicKey: join(root, 'p'), privateKey: join(root, 's') };
    writeSigningKeys(paths);
    expect(statSync(paths.privateKey).mode & 0o777).toBe(0o600);
    expect(readSigningKey(paths.privateKey)).toHaveLength(32);
    chmodSync(paths.privateKey, 0o640);
    expect(() => readSigningKey(paths.privateKey)).toThrow(/chmod 600/);
    writeFileSync(paths.privateKey, 'short');
    chmodSync(paths.privateKey, 0o600);
    expect(() => readSigningKey(paths.privateKey)).toThrow(/has 5 bytes/);
    rmSync(root, { recursive: true });
  });
});
