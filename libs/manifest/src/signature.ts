import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';
import { SanctumError } from '@sanctum/errors';

export const SIGNATURE_BYTES = 64;
export const PUBLIC_KEY_BYTES = 32;
export const PRIVATE_KEY_BYTES = 32;
/** More would make "which key signed this" a guess: two are enough for a rotation. */
export const PUBLIC_KEYS_MAX = 8;

/** DER in front of a raw key, RFC 8410 sections 4 and 7. */
const PUBLIC_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const PRIVATE_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/**
 * Points of small order, sign bit cleared: under such a key (a file of zeros is one) signatures can
 * be forged for any text.
 */
const WEAK_KEYS = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
]);

export interface SigningKeys {
  /** 32 raw bytes: committed. */
  readonly publicKey: Buffer;
  /** 32 raw bytes: kept 0600, outside of any repository. */
  readonly privateKey: Buffer;
}

/** A public key with the name of the file it came from, for messages. */
export interface TrustedKey {
  readonly source: string;
  readonly bytes: Uint8Array;
}

/** A new Ed25519 pair (RFC 8032). */
export function generateSigningKeys(): SigningKeys {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'der' }).subarray(PUBLIC_PREFIX.length),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(PRIVATE_PREFIX.length),
  };
}

/** The first 16 hexadecimal digits of the SHA-256 of the raw public key. */
export function keyIdOf(publicKey: Uint8Array): string {
  return createHash('sha256').update(publicKey).digest('hex').slice(0, 16);
}

/** The public half of a raw private key. Throws `manifest_refused`. */
export function publicKeyOf(privateKey: Uint8Array): Buffer {
  const key = createPublicKey(importPrivate(privateKey));
  return key.export({ type: 'spki', format: 'der' }).subarray(PUBLIC_PREFIX.length);
}

/** 64 raw bytes over the raw manifest. Throws `manifest_refused` for a key of another length. */
export function signManifest(manifest: Uint8Array, privateKey: Uint8Array): Buffer {
  return sign(null, manifest, importPrivate(privateKey));
}

/**
 * The key that signed the manifest. Throws `manifest_refused` naming `source` (the signature file)
 * when the signature has another length or no trusted key made it.
 */
export function verifySignature(options: {
  readonly manifest: Uint8Array;
  readonly signature: Uint8Array;
  readonly keys: readonly TrustedKey[];
  readonly source: string;
}): TrustedKey {
  const { manifest, signature, keys, source } = options;
  if (signature.length !== SIGNATURE_BYTES) {
    throw refused(
      source,
      `${source} has ${signature.length} bytes; a signature has ${SIGNATURE_BYTES}.`,
    );
  }
  const signer = keys
    .map((key) => ({ key, imported: importPublic(key) }))
    .find(({ imported }) => verify(null, manifest, imported, signature));
  if (signer !== undefined) return signer.key;
  throw refused(
    source,
    `${source} was not made by any trusted key (${keys.map((key) => key.source).join(', ')}): ` +
      'the manifest was changed, or signed by someone else.',
  );
}

function importPublic({ source, bytes }: TrustedKey): KeyObject {
  if (bytes.length !== PUBLIC_KEY_BYTES) {
    throw refused(
      source,
      `${source} has ${bytes.length} bytes; an Ed25519 public key has ${PUBLIC_KEY_BYTES}.`,
    );
  }
  const unsigned = Buffer.from(bytes);
  unsigned[31] = (unsigned[31] ?? 0) & 0x7f;
  if (WEAK_KEYS.has(unsigned.toString('hex'))) {
    throw refused(source, `${source} is no key: anybody could sign under it.`);
  }
  const key = Buffer.concat([PUBLIC_PREFIX, bytes]);
  return createPublicKey({ key, format: 'der', type: 'spki' });
}

function importPrivate(bytes: Uint8Array): KeyObject {
  if (bytes.length !== PRIVATE_KEY_BYTES) {
    throw refused(
      'private key',
      `The private key has ${bytes.length} bytes; an Ed25519 private key has ${PRIVATE_KEY_BYTES}.`,
    );
  }
  const key = Buffer.concat([PRIVATE_PREFIX, bytes]);
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
}

function refused(param: string, message: string): SanctumError {
  return new SanctumError('manifest_refused', message, { param });
}
