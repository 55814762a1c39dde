import { readFile } from 'node:fs/promises';
import { errnoOf, writeFileAtomic, type HomePaths } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { listCertificates, type CertificateInfo } from './inspect.js';
import { pkiFiles } from './pki-files.js';

/** One certificate that the authority signed. */
export interface IssuedCertificate {
  /** Hexadecimal, upper case. */
  readonly serial: string;
  /** `server`, or the name of an identity. */
  readonly subject: string;
  readonly instance: string;
  /** Of a client certificate; 0 for the server's. */
  readonly generation: number;
  readonly notBefore: string;
  readonly notAfter: string;
  /** Subject key identifier of the CA: whose revocation list names it. */
  readonly authority: string;
  readonly revokedAt?: string;
}

export interface Ledger {
  readonly issued: readonly IssuedCertificate[];
  /** The last generation of each identity; it never goes back, whatever expires. */
  readonly generations: Readonly<Record<string, number>>;
}

/** More unexpired certificates than this are a defect, not a use. */
export const LEDGER_ENTRIES_MAX = 4096;

/** The ledger; for a home that has none yet, what its certificates tell. Throws `io`. */
export async function readLedger(home: HomePaths): Promise<Ledger> {
  const { ledger } = pkiFiles(home);
  try {
    return JSON.parse(await readFile(ledger, 'utf8')) as Ledger;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return fromCertificates(home);
    throw new SanctumError(
      'io',
      `The list of issued certificates ${ledger} cannot be read: ${messageOf(error)}`,
      { cause: error, param: ledger },
    );
  }
}

/** Forgets what has expired: nobody accepts it any more, revoked or not. */
export function writeLedger(home: HomePaths, ledger: Ledger, now: Date): void {
  const issued = ledger.issued.filter((entry) => new Date(entry.notAfter) > now);
  if (issued.length > LEDGER_ENTRIES_MAX) {
    throw new SanctumError(
      'io',
      `More than ${LEDGER_ENTRIES_MAX} certificates are valid at once; wait until some expire.`,
    );
  }
  const text = JSON.stringify({ ...ledger, issued }, null, 1);
  writeFileAtomic(pkiFiles(home).ledger, `${text}\n`, 0o600);
}

export function withIssued(ledger: Ledger, entry: IssuedCertificate): Ledger {
  const { subject, generation } = entry;
  const last = Math.max(ledger.generations[subject] ?? 0, generation);
  return {
    issued: [...ledger.issued, entry],
    generations: { ...ledger.generations, ...(generation > 0 && { [subject]: last }) },
  };
}

/** A generation names one certificate: NATS, which sees names alone, can then refuse that one. */
export function nextGeneration(ledger: Ledger, identity: string): number {
  return (ledger.generations[identity] ?? 0) + 1;
}

export function entryOf(info: CertificateInfo, authority: string): IssuedCertificate {
  return {
    serial: info.serial,
    subject: info.identity?.name ?? 'server',
    instance: info.identity?.instance ?? '',
    generation: info.identity?.generation ?? 0,
    notBefore: info.notBefore.toISOString(),
    notAfter: info.notAfter.toISOString(),
    authority,
  };
}

async function fromCertificates(home: HomePaths): Promise<Ledger> {
  const certificates = await listCertificates(home);
  return certificates
    .filter(({ kind }) => kind === 'server' || kind === 'client')
    .reduce((ledger: Ledger, info) => withIssued(ledger, entryOf(info, info.authorityKeyId)), {
      issued: [],
      generations: {},
    });
}
