import { join } from 'node:path';
import type { HomePaths, KeyPairFiles } from '@sanctum/catalog';

/** Files of the authority beside those that services read. */
export interface PkiFiles {
  /** Every certificate that was issued and has not expired, and the last generation of each name. */
  readonly ledger: string;
  readonly lock: string;
  /** Certificate signing requests of services, and the answers to them. */
  readonly requests: string;
  /** During a rollover: the CA that will sign next, and the one that signed before. */
  readonly nextCa: KeyPairFiles;
  readonly oldCa: KeyPairFiles;
}

export function pkiFiles({ certs }: Pick<HomePaths, 'certs'>): PkiFiles {
  const pair = (name: string): KeyPairFiles => ({
    cert: join(certs, `${name}.crt`),
    key: join(certs, `${name}.key`),
  });
  return {
    ledger: join(certs, 'issued.json'),
    lock: join(certs, 'pki.lock'),
    requests: join(certs, 'requests'),
    nextCa: pair('ca.next'),
    oldCa: pair('ca.old'),
  };
}

/** The revocation list that goes with a file of CA certificates: `ca.crl` beside `ca.crt`. */
export function crlPathOf(ca: string): string {
  return ca.replace(/\.[^./\\]*$/, '') + '.crl';
}

/** The PEM blocks of one kind in a text, each with a line end. */
export function splitPem(text: string, kind: 'CERTIFICATE' | 'X509 CRL'): string[] {
  const block = new RegExp(`-----BEGIN ${kind}-----[^-]+-----END ${kind}-----`, 'g');
  return (text.match(block) ?? []).map((pem) => `${pem}\n`);
}
