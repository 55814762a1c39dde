import { webcrypto } from 'node:crypto';
import { messageOf, SanctumError } from '@sanctum/errors';
import { KEY_ALGORITHM } from './authority.js';
import { signLeaf, type IssueClientOptions } from './issue.js';
import type { CertificateInfo } from './inspect.js';
import { withPkiLock } from './pki-lock.js';
import { x509 } from './x509.js';

export interface SignRequestOptions extends Omit<IssueClientOptions, 'kind'> {
  /** PEM text of a PKCS #10 request for an EC P-256 key. Its subject and names count for nothing. */
  readonly request: string;
}

export interface SignedRequest {
  readonly info: CertificateInfo;
  /** PEM text. */
  readonly cert: string;
}

/**
 * Signs a client certificate for a key that is held elsewhere and never travels. Whose certificate
 * it is says the operator, not the request; the request proves that its sender has the key. Throws
 * `certificate_invalid` for anything that is no such request.
 */
export async function signRequest(options: SignRequestOptions): Promise<SignedRequest> {
  const publicKey = await provenKey(options.request);
  return withPkiLock(options.home, async () => signLeaf({ ...options, kind: 'client' }, publicKey));
}

async function provenKey(text: string): Promise<webcrypto.CryptoKey> {
  try {
    const request = new x509.Pkcs10CertificateRequest(text);
    const { rawData } = request.publicKey;
    const publicKey = await webcrypto.subtle.importKey('spki', rawData, KEY_ALGORITHM, true, [
      'verify',
    ]);
    if (await request.verify()) return publicKey;
  } catch (error) {
    throw unusable(`cannot be read: ${messageOf(error)}`, error);
  }
  throw unusable('was not signed by the key it is for');
}

function unusable(said: string, cause?: unknown): SanctumError {
  return new SanctumError(
    'certificate_invalid',
    `The certificate request ${said}. Make one for an EC P-256 key, for example with ` +
      '`openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256`.',
    { cause },
  );
}
