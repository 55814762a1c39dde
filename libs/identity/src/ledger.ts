import { readFile } from 'node:fs/promises';
import { errnoOf, writeFileAtomic, type HomePaths } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { archivedIn, archivedOn, exists } from './archive.js';
import { describeCertificate, listCertificates, type CertificateInfo } from './inspect.js';
import { readPem } from './pem-file.js';
import { pkiFiles } from './pki-files.js';
import { readRevocationList, type Revocation } from './revocation-list.js';
import { parseIdentityUri, type ServiceIdentity } from './service-identity.js';

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

/**
 * The ledger; for a home that has none, what its certificates, those set aside among them, its
 * revocation list and its NATS users tell. Throws `io`.
 */
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
  const { subject: name, generation } = entry;
  const issued = [...ledger.issued, entry];
  return generation > 0
    ? withGeneration({ ...ledger, issued }, { name, generation })
    : { ...ledger, issued };
}

function withGeneration(
  ledger: Ledger,
  { name, generation }: Pick<ServiceIdentity, 'name' | 'generation'>,
): Ledger {
  const last = Math.max(ledger.generations[name] ?? 0, generation);
  return { ...ledger, generations: { ...ledger.generations, [name]: last } };
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
  const revocations = await knownRevocations(home);
  const entries = new Map(
    revocations.map((revocation) => [revocation.serial, nameless(revocation)]),
  );
  for (const info of [...(await archivedCertificates(home)), ...(await listCertificates(home))]) {
    if (info.kind !== 'server' && info.kind !== 'client') continue;
    const revokedAt = entries.get(info.serial)?.revokedAt ?? archivedOn(info.path);
    const entry = entryOf(info, info.authorityKeyId);
    entries.set(info.serial, { ...entry, ...(revokedAt !== undefined && { revokedAt }) });
  }
  const ledger = [...entries.values()]
    .sort((a, b) => a.notBefore.localeCompare(b.notBefore))
    .reduce(withIssued, { issued: [], generations: {} });
  return (await generationsAtNats(home)).reduce(withGeneration, ledger);
}

/** Throws `io`: what was revoked must not be forgotten because two files are broken at once. */
async function knownRevocations(home: HomePaths): Promise<readonly Revocation[]> {
  if (!(await exists(home.ca.cert))) return [];
  try {
    const trusted = await readPem(home.ca.cert, 'CA certificate');
    return (await readRevocationList(home.ca.cert, trusted)).revocations;
  } catch (error) {
    const { ledger } = pkiFiles(home);
    throw new SanctumError(
      'io',
      `${ledger} is gone, and what was revoked cannot be told without it: ${messageOf(error)} ` +
        'Restore one of the two from a backup.',
      { cause: error, param: ledger },
    );
  }
}

/** What a list tells of a certificate: not whose it was, and no end before that of its CA. */
function nameless({ serial, revokedAt, authority, listedUntil }: Revocation): IssuedCertificate {
  const revoked = revokedAt.toISOString();
  return {
    ...{ serial, authority, subject: '', instance: '', generation: 0 },
    ...{ notBefore: revoked, notAfter: listedUntil.toISOString(), revokedAt: revoked },
  };
}

async function archivedCertificates(home: HomePaths): Promise<readonly CertificateInfo[]> {
  const paths = [...(await archivedIn(home.certs)), ...(await archivedIn(home.clients))];
  const infos = paths.map(async (path) =>
    describeCertificate(await readPem(path, 'certificate'), path),
  );
  return Promise.all(infos);
}

/** Who may log in to NATS was written from the ledger that is gone. */
async function generationsAtNats(home: HomePaths): Promise<readonly ServiceIdentity[]> {
  const text = (await exists(home.natsConfig)) ? await readFile(home.natsConfig, 'utf8') : '';
  return (text.match(/spiffe:[\w./-]+/g) ?? []).flatMap((uri) => parseIdentityUri(uri) ?? []);
}
