import { readFile } from 'node:fs/promises';
import { errnoOf, writeFileAtomic, type HomePaths } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { SIGNING_ALGORITHM, subjectKeyId, type Authority } from './authority.js';
import type { IssuedCertificate } from './ledger.js';
import { crlPathOf, splitPem } from './pki-files.js';
import { x509 } from './x509.js';

/** The revocation lists of all trusted CAs, checked. */
export interface RevocationList {
  /** One list a CA, for `crl` of TLS options. */
  readonly pems: readonly string[];
  /** Hexadecimal, upper case. */
  readonly serials: ReadonlySet<string>;
  readonly revocations: readonly Revocation[];
}

export interface Revocation {
  /** Hexadecimal, upper case. */
  readonly serial: string;
  readonly revokedAt: Date;
  /** Subject key identifier of the CA whose list names it. */
  readonly authority: string;
  /** When that list ends, and the CA with it. */
  readonly listedUntil: Date;
}

export interface RevocationListContent {
  readonly authorities: readonly Authority[];
  readonly issued: readonly IssuedCertificate[];
  readonly now: Date;
}

const NOTHING_REVOKED: RevocationList = { pems: [], serials: new Set(), revocations: [] };

/**
 * Writes `ca.crl`: one list signed by each authority, naming what it signed and was revoked. Always
 * all authorities that are trusted: a TLS peer refuses everybody of a CA whose list is missing. The
 * lists last as long as their CA, so that no door closes because nobody renewed them.
 */
export async function writeRevocationList(
  home: HomePaths,
  { authorities, issued, now }: RevocationListContent,
): Promise<void> {
  const lists = await Promise.all(
    authorities.map(async (authority) => {
      const own = subjectKeyId(authority.certificate);
      const list = await x509.X509CrlGenerator.create({
        issuer: authority.certificate.subjectName,
        thisUpdate: new Date(now.getTime() - 5 * 60_000),
        nextUpdate: authority.certificate.notAfter,
        signingAlgorithm: SIGNING_ALGORITHM,
        signingKey: authority.key,
        entries: issued
          .filter((entry) => entry.authority === own && entry.revokedAt !== undefined)
          .map(({ serial, revokedAt = '' }) => ({
            serialNumber: serial.toLowerCase(),
            revocationDate: new Date(revokedAt),
          })),
        extensions: [
          await x509.AuthorityKeyIdentifierExtension.create(authority.certificate.publicKey),
        ],
      });
      // The library labels it CRL; OpenSSL reads X509 CRL.
      return `${list.toString('pem').replaceAll(' CRL-----', ' X509 CRL-----')}\n`;
    }),
  );
  writeFileAtomic(crlPathOf(home.ca.cert), lists.join(''), 0o644);
}

/**
 * The revocation list beside a CA file; where there is none, the one that is known, and nothing is
 * revoked where none is. Throws `certificate_invalid` for a list that cannot be read, that its CA did
 * not sign, or that leaves out one of the CAs: everybody of that CA would be refused.
 *
 * @param ca path of the file of CA certificates
 * @param caPem its text
 * @param known `pems` of a list that was read before
 */
export async function readRevocationList(
  ca: string,
  caPem: string,
  known: readonly string[] = [],
): Promise<RevocationList> {
  const path = crlPathOf(ca);
  const pems = await readLists(path, known);
  if (pems === undefined) return NOTHING_REVOKED;
  const lists = pems.map((pem) => parse(pem, path));
  for (const authority of splitPem(caPem, 'CERTIFICATE')) {
    const { publicKey: key, subject } = new x509.X509Certificate(authority);
    const signed = await Promise.all(
      lists.map((list) => list.verify({ publicKey: key }).catch(() => false)),
    );
    if (signed.includes(true)) continue;
    throw unusable(path, `has no list signed by ${subject}`);
  }
  const revocations = lists.flatMap(revocationsOf);
  return { pems, serials: new Set(revocations.map(({ serial }) => serial)), revocations };
}

async function readLists(
  path: string,
  known: readonly string[],
): Promise<readonly string[] | undefined> {
  try {
    return splitPem(await readFile(path, 'utf8'), 'X509 CRL');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return known.length === 0 ? undefined : known;
    throw unusable(path, `cannot be read: ${messageOf(error)}`, error);
  }
}

function revocationsOf(list: x509.X509Crl): Revocation[] {
  const { keyId = '' } = list.getExtension(x509.AuthorityKeyIdentifierExtension) ?? {};
  return list.entries.map(({ serialNumber, revocationDate }) => ({
    serial: serialNumber.toUpperCase(),
    revokedAt: revocationDate,
    authority: keyId.toLowerCase(),
    listedUntil: list.nextUpdate ?? new Date(8.64e15),
  }));
}

function parse(pem: string, path: string): x509.X509Crl {
  try {
    return new x509.X509Crl(x509.PemConverter.decodeFirst(pem));
  } catch (error) {
    throw unusable(path, `cannot be parsed: ${messageOf(error)}`, error);
  }
}

function unusable(path: string, said: string, cause?: unknown): SanctumError {
  return new SanctumError('certificate_invalid', `The revocation list ${path} ${said}.`, {
    cause,
    param: path,
  });
}
