import {
  createHash,
  createPrivateKey,
  createPublicKey,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';
import { messageOf, SanctumError } from '@sanctum/errors';
import { z } from 'zod';
import { decodeEnvelope, dsseSchema, encodeEnvelope, parseJson, preAuthEncoding } from './dsse.js';
import {
  MANIFEST_BYTES_MAX,
  MANIFEST_ENTRIES_MAX,
  pathFault,
  type ManifestEntry,
} from './manifest-text.js';

const MEDIA_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const PAYLOAD_TYPE = 'application/vnd.in-toto+json';
const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
const PREDICATE_TYPE = 'https://model_signing/signature/v1.0';
/** The curves of the format's bare keys, each with the hash it is signed over. */
const CURVE_HASHES: Readonly<Record<string, string>> = {
  prime256v1: 'sha256',
  secp384r1: 'sha384',
  secp521r1: 'sha512',
};

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in hexadecimal');
const bundleSchema = z.object({
  mediaType: z.literal(MEDIA_TYPE),
  verificationMaterial: z.object({ publicKey: z.object({ hint: z.string().optional() }) }),
  dsseEnvelope: dsseSchema,
});
const statementSchema = z.object({
  _type: z.literal(STATEMENT_TYPE),
  subject: z.tuple([z.object({ name: z.string(), digest: z.object({ sha256 }) })]),
  predicateType: z.literal(PREDICATE_TYPE),
  predicate: z.object({
    serialization: z.object({ method: z.literal('files'), hash_type: z.literal('sha256') }),
    resources: z
      .array(z.object({ name: z.string(), algorithm: z.literal('sha256'), digest: sha256 }))
      .min(1)
      .max(MANIFEST_ENTRIES_MAX),
  }),
});

export interface ModelStatement {
  /** The model's folder, by its last name. */
  readonly model: string;
  readonly entries: readonly ManifestEntry[];
}

/**
 * An OpenSSF Model Signing bundle (predicate v1.0, files, SHA-256) with a bare elliptic-curve key:
 * P-256, P-384 or P-521, as PEM. Throws `manifest_refused` for any other key.
 * https://github.com/ossf/model-signing-spec
 */
export function exportBundle(statement: ModelStatement, privateKeyPem: string): string {
  const privateKey = importKey(() => createPrivateKey(privateKeyPem), 'private key');
  const resources = [...statement.entries]
    .sort((a, b) => (a.path < b.path ? -1 : Number(a.path > b.path)))
    .map(({ path, digest }) => ({ name: path, algorithm: 'sha256', digest }));
  const payload = Buffer.from(
    JSON.stringify({
      _type: STATEMENT_TYPE,
      subject: [{ name: statement.model, digest: { sha256: rootDigest(resources) } }],
      predicateType: PREDICATE_TYPE,
      predicate: {
        serialization: { method: 'files', hash_type: 'sha256', allow_symlinks: false },
        resources,
      },
    }),
  );
  const sig = sign(curveHash(privateKey), preAuthEncoding(PAYLOAD_TYPE, payload), privateKey);
  const bundle = {
    mediaType: MEDIA_TYPE,
    verificationMaterial: {
      publicKey: { hint: keyHint(createPublicKey(privateKey)) },
      tlogEntries: [],
    },
    dsseEnvelope: encodeEnvelope({
      payloadType: PAYLOAD_TYPE,
      payload,
      signatures: [{ keyid: '', sig }],
    }),
  };
  return `${JSON.stringify(bundle)}\n`;
}

/**
 * Verifies a bundle under a bare public key (PEM) and returns what it states. Throws
 * `manifest_refused` naming `source`: another key, a bad signature, an inconsistent root digest, a
 * form this version does not know (sharded hashes, other digests), an unsafe or repeated path.
 */
export function importBundle(text: string, publicKeyPem: string, source: string): ModelStatement {
  if (Buffer.byteLength(text) > 2 * MANIFEST_BYTES_MAX) {
    throw refused(source, `is larger than ${2 * MANIFEST_BYTES_MAX} bytes`);
  }
  const publicKey = importKey(() => createPublicKey(publicKeyPem), 'public key');
  const bundle = parseJson(bundleSchema, text, source);
  const { hint } = bundle.verificationMaterial.publicKey;
  if (hint !== undefined && hint !== '' && hint !== keyHint(publicKey)) {
    throw refused(source, 'names another key than the one given');
  }
  const { payloadType, payload, signatures } = decodeEnvelope(bundle.dsseEnvelope);
  const [signature] = signatures;
  if (payloadType !== PAYLOAD_TYPE || signature === undefined || signatures.length > 1) {
    throw refused(source, `is not one signed ${PAYLOAD_TYPE}`);
  }
  const signed = preAuthEncoding(payloadType, payload);
  if (!verify(curveHash(publicKey), signed, publicKey, signature.sig)) {
    throw refused(source, 'was changed, or signed by someone else');
  }
  return readStatement(payload.toString('utf8'), source);
}

function readStatement(text: string, source: string): ModelStatement {
  const { subject, predicate } = parseJson(statementSchema, text, source);
  const [{ name: model, digest }] = subject;
  if (rootDigest(predicate.resources) !== digest.sha256) {
    throw refused(source, 'is inconsistent: its files do not add up to its root digest');
  }
  const seen = new Set<string>();
  const entries = predicate.resources.map(({ name: path, digest: hash }) => {
    const fault = seen.has(path) ? 'is listed twice' : pathFault(path);
    if (fault !== undefined) throw refused(source, `lists ${JSON.stringify(path)}, which ${fault}`);
    seen.add(path);
    return { path, digest: hash };
  });
  return { model, entries };
}

/** SHA-256 over the digests of all files, raw, in their order. */
function rootDigest(resources: readonly { readonly digest: string }[]): string {
  const hash = createHash('sha256');
  for (const { digest } of resources) hash.update(Buffer.from(digest, 'hex'));
  return hash.digest('hex');
}

/** SHA-256 of the PEM text, as the format identifies bare keys. */
function keyHint(publicKey: KeyObject): string {
  const pem = publicKey.export({ type: 'spki', format: 'pem' });
  return createHash('sha256').update(pem).digest('hex');
}

function curveHash(key: KeyObject): string {
  const hash = CURVE_HASHES[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (key.asymmetricKeyType === 'ec' && hash !== undefined) return hash;
  throw refused(
    'The key',
    `is no elliptic-curve key on ${Object.keys(CURVE_HASHES).join(', ')}, the bare keys of Model Signing`,
  );
}

function importKey(read: () => KeyObject, what: string): KeyObject {
  try {
    return read();
  } catch (error) {
    throw new SanctumError('manifest_refused', `The ${what} is no PEM key: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function refused(source: string, what: string): SanctumError {
  return new SanctumError('manifest_refused', `${source} ${what}.`, { param: source });
}
