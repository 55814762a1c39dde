import { SanctumError } from '@sanctum/errors';
import { z } from 'zod';

/** Dead Simple Signing Envelope, https://github.com/secure-systems-lab/dsse, version 1. */
export interface DsseEnvelope {
  readonly payloadType: string;
  readonly payload: Buffer;
  readonly signatures: readonly { readonly keyid: string; readonly sig: Buffer }[];
}

const SIGNATURES_MAX = 16;
const base64 = z.string().regex(/^[A-Za-z0-9+/_-]*={0,2}$/, 'base64');

/** Its JSON form; further fields are allowed, as the specification asks. */
export const dsseSchema = z.object({
  payloadType: z.string().min(1).max(256),
  payload: base64,
  signatures: z
    .array(z.object({ keyid: z.string().max(256).optional(), sig: base64 }))
    .min(1)
    .max(SIGNATURES_MAX),
});

/**
 * The bytes that are signed: type and payload with their lengths, so that a signature over one kind
 * of document is never one over another.
 */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

export function encodeEnvelope(envelope: DsseEnvelope): z.output<typeof dsseSchema> {
  return {
    payload: envelope.payload.toString('base64'),
    payloadType: envelope.payloadType,
    signatures: envelope.signatures.map(({ keyid, sig }) => ({
      sig: sig.toString('base64'),
      keyid,
    })),
  };
}

export function decodeEnvelope(value: z.output<typeof dsseSchema>): DsseEnvelope {
  return {
    payloadType: value.payloadType,
    payload: Buffer.from(value.payload, 'base64'),
    signatures: value.signatures.map(({ keyid, sig }) => ({
      keyid: keyid ?? '',
      sig: Buffer.from(sig, 'base64'),
    })),
  };
}

/** JSON text as the schema says it; throws `manifest_refused` naming `source`. */
export function parseJson<T extends z.ZodType>(
  schema: T,
  text: string,
  source: string,
): z.output<T> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refused(source, 'is not JSON', error);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const at = issue?.path.join('.') ?? '';
  throw refused(source, `has an unexpected ${at || 'form'}: ${issue?.message ?? ''}`, parsed.error);
}

function refused(source: string, what: string, cause: unknown): SanctumError {
  return new SanctumError('manifest_refused', `${source} ${what}.`, { param: source, cause });
}
