import { readFileSync } from 'node:fs';
import { loadInstance, type Instance } from '@sanctum/catalog';
import { isIdentity, IDENTITIES } from '@sanctum/contracts';
import { isSanctumError, messageOf, SanctumError } from '@sanctum/errors';
import {
  issueCertificate,
  listCertificates,
  readRevocationList,
  renewalDueAt,
  verifyCertificate,
  type Announce,
  type CertificateInfo,
  type VerifyOptions,
} from '@sanctum/identity';
import { announceIdentities } from '../instance/nats-users.js';
import { bindAddresses, ensureCertificates, ensureInstance } from '../instance/prepare.js';
import type { Site } from '../instance/site.js';
import type { Terminal } from '../terminal/terminal.js';
import { auditCertificates } from './audit-certificates.js';

/** Makes what is missing; what is usable stays. */
export async function certsInit(site: Site, terminal: Terminal): Promise<void> {
  const { instance } = ensureInstance(site);
  const announce = announceTo(site, terminal, instance);
  const { issued, kept } = await ensureCertificates(site.paths, instance, announce);
  issued.forEach((path) => terminal.say(`made  ${path}`));
  kept.forEach((path) => terminal.say(`kept  ${path}`));
}

export interface IssueRequest {
  /** `server`, or the identity of a client. */
  readonly subject: string;
  readonly addresses: readonly string[];
  readonly days: number | undefined;
}

/** Replaces one certificate and its key. */
export async function certsIssue(
  site: Site,
  terminal: Terminal,
  request: IssueRequest,
): Promise<void> {
  const instance = loadInstance(site.paths.instanceFile);
  const base = {
    home: site.paths,
    instance: instance.instance.name,
    days: request.days ?? instance.certificates.leaf_days,
  };
  if (request.subject !== 'server' && !isIdentity(request.subject)) {
    throw new SanctumError(
      'config_invalid',
      `"${request.subject}" is no identity; expected server or one of ${IDENTITIES.join(', ')}.`,
    );
  }
  const info = await issueCertificate(
    request.subject === 'server'
      ? {
          ...{ ...base, kind: 'server' },
          addresses: [...bindAddresses(instance), ...request.addresses],
        }
      : { ...base, kind: 'client', identity: request.subject },
    announceTo(site, terminal, instance),
  );
  await auditCertificates(site, 'issued', [info.path]);
  terminal.say(`made  ${info.path}, valid until ${info.notAfter.toISOString()}`);
}

/** Where there is no nats-server none runs: it reads who may log in when it is started. */
function announceTo(site: Site, terminal: Terminal, instance: Instance): Announce {
  return async () => {
    try {
      await announceIdentities(site, instance);
    } catch (error) {
      if (!isSanctumError(error) || error.code !== 'prerequisite_missing') throw error;
      terminal.say(`NATS was not told who may log in: ${error.message}`);
    }
  };
}

export async function certsList(
  site: Site,
  terminal: Terminal,
  options: { readonly json: boolean },
): Promise<void> {
  const certificates = await listCertificates(site.paths);
  if (options.json) {
    terminal.say(JSON.stringify(certificates, null, 2));
    return;
  }
  if (certificates.length === 0) {
    terminal.say(`No certificates in ${site.paths.certs}. \`sanctumctl certs init\` makes them.`);
    return;
  }
  terminal.table([
    ['kind', 'name', 'valid until', 'days', 'renewal', 'serial', 'file'],
    ...certificates.map((info) => [
      info.kind,
      info.commonName,
      info.notAfter.toISOString().slice(0, 10),
      String(daysLeft(info)),
      info.kind === 'ca' ? '-' : renewalDueAt(info).toISOString().slice(0, 10),
      info.serial,
      info.path,
    ]),
  ]);
}

export interface CertificateFinding {
  readonly path: string;
  readonly daysLeft: number;
  /** Empty when it may be used. */
  readonly problems: readonly string[];
}

/** Every certificate of the home against its CA, its key and the clock. */
export async function checkCertificates(site: Site): Promise<readonly CertificateFinding[]> {
  const certificates = await listCertificates(site.paths);
  if (certificates.length === 0) return [];
  const { ca } = site.paths;
  const trusted = readFileSync(ca.cert, 'utf8');
  const { serials } = await readRevocationList(ca.cert, trusted);
  return certificates.map((info) => ({
    path: info.path,
    daysLeft: daysLeft(info),
    problems: problemsOf(site, info, { ca: trusted, revoked: serials }),
  }));
}

/** Prints what is wrong. Returns whether nothing is. */
export async function certsVerify(site: Site, terminal: Terminal): Promise<boolean> {
  const findings = await checkCertificates(site);
  for (const { path, problems, daysLeft: days } of findings) {
    if (problems.length === 0) {
      terminal.say(`${terminal.style('green', '✓')} ${path}  ${days} days left`);
    }
    problems.forEach((problem) => terminal.say(`${terminal.style('red', '✗')} ${problem}`));
  }
  if (findings.length === 0) {
    terminal.say(`No certificates in ${site.paths.certs}. \`sanctumctl certs init\` makes them.`);
  }
  return findings.length > 0 && findings.every(({ problems }) => problems.length === 0);
}

function problemsOf(
  { paths }: Site,
  info: CertificateInfo,
  trust: Pick<VerifyOptions, 'ca' | 'revoked'>,
): readonly string[] {
  if (info.kind === 'ca') {
    return info.notAfter < new Date()
      ? [`${info.path} expired on ${info.notAfter.toISOString()}.`]
      : [];
  }
  try {
    const { faults } = verifyCertificate({
      ...trust,
      cert: readFileSync(info.path, 'utf8'),
      key: readFileSync(info.path.replace(/\.crt$/, '.key'), 'utf8'),
      usage: info.path === paths.server.cert ? 'server' : 'client',
      path: info.path,
    });
    return faults.map(({ message }) => message);
  } catch (error) {
    return [`${info.path} cannot be checked: ${messageOf(error)}`];
  }
}

function daysLeft(info: CertificateInfo): number {
  return Math.floor((info.notAfter.getTime() - Date.now()) / 86_400_000);
}
