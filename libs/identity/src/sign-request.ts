import { provenRequest } from './certificate-request.js';
import { signLeaf, type IssueClientOptions } from './issue.js';
import type { CertificateInfo } from './inspect.js';
import { withPkiLock } from './pki-lock.js';

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
  const { publicKey } = await provenRequest(options.request);
  return withPkiLock(options.home, async () => signLeaf({ ...options, kind: 'client' }, publicKey));
}
