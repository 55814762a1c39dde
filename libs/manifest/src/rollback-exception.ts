import { writeFileAtomic } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { existsSync } from 'node:fs';
import { z } from 'zod';
import { decodeEnvelope, dsseSchema, encodeEnvelope, parseJson, preAuthEncoding } from './dsse.js';
import { assertNotRevoked, type KeyRing } from './key-ring.js';
import { keyIdOf, publicKeyOf, signManifest, verifySignature } from './signature.js';
import { readSmallFile } from './small-file.js';

const PAYLOAD_TYPE = 'application/vnd.sanctum.rollback+json';
/** Longer than this, what is meant is a new version. */
export const EXCEPTION_DAYS_MAX = 90;
const DAY_MS = 24 * 3600 * 1000;
const REASON_LENGTH_MAX = 500;

const exceptionSchema = z.strictObject({
  kind: z.literal('rollback'),
  model: z.string().min(1).max(128),
  version: z.int().min(0),
  /** SHA-256 of the manifest it speaks of: no other one is let through. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  reason: z.string().min(1).max(REASON_LENGTH_MAX),
  issuedAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
});

/** The operator's word that an older version may be served for a while. */
export type RollbackException = z.output<typeof exceptionSchema>;

export interface SignedException extends RollbackException {
  readonly source: string;
  readonly keyId: string;
}

/** Where the exception of a manifest lies. */
export function exceptionFile(manifest: string): string {
  return `${manifest}.rollback`;
}

/**
 * Signs an exception (a DSSE envelope, Ed25519) and writes it beside the manifest. Throws
 * `manifest_refused` for a lifetime over {@link EXCEPTION_DAYS_MAX} days, `io` when it cannot be
 * written.
 */
export function writeException(options: {
  readonly manifest: string;
  readonly subject: Pick<RollbackException, 'model' | 'version' | 'digest' | 'reason'>;
  readonly days: number;
  readonly privateKey: Uint8Array;
  readonly now?: Date;
}): string {
  const { manifest, subject, days, privateKey, now = new Date() } = options;
  const file = exceptionFile(manifest);
  if (!(days > 0 && days <= EXCEPTION_DAYS_MAX)) {
    throw refused(file, `may last between one and ${EXCEPTION_DAYS_MAX} days, not ${days}`);
  }
  const exception: RollbackException = {
    kind: 'rollback',
    ...subject,
    issuedAt: now.toISOString(),
    expiresAt: new Date(now.getTime() + days * DAY_MS).toISOString(),
  };
  const payload = Buffer.from(JSON.stringify(exceptionSchema.parse(exception)));
  const sig = signManifest(preAuthEncoding(PAYLOAD_TYPE, payload), privateKey);
  const keyid = keyIdOf(publicKeyOf(privateKey));
  const envelope = encodeEnvelope({
    payloadType: PAYLOAD_TYPE,
    payload,
    signatures: [{ keyid, sig }],
  });
  writeFileAtomic(file, `${JSON.stringify(envelope, null, 2)}\n`, 0o644);
  return file;
}

/**
 * The exception beside a manifest, or undefined when there is none. Throws `manifest_refused` when
 * it is malformed or no trusted key signed it; whether it applies is for the caller to judge.
 */
export function readException(manifest: string, ring: KeyRing): SignedException | undefined {
  const source = exceptionFile(manifest);
  if (!existsSync(source)) return undefined;
  const text = readSmallFile(source, 'rollback exception').toString('utf8');
  const { payloadType, payload, signatures } = decodeEnvelope(parseJson(dsseSchema, text, source));
  const [signature] = signatures;
  if (payloadType !== PAYLOAD_TYPE || signature === undefined || signatures.length > 1) {
    throw refused(source, `is not one signed ${PAYLOAD_TYPE}`);
  }
  const signer = verifySignature({
    manifest: preAuthEncoding(payloadType, payload),
    signature: signature.sig,
    keys: [...ring.trusted, ...ring.revoked],
    source,
  });
  const keyId = keyIdOf(signer.bytes);
  assertNotRevoked(ring, keyId, source);
  const exception = parseJson(exceptionSchema, payload.toString('utf8'), source);
  return { ...exception, source, keyId };
}

function refused(source: string, what: string): SanctumError {
  return new SanctumError('manifest_refused', `${source} ${what}.`, { param: source });
}
