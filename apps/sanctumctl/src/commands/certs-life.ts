import { loadInstance, type Instance } from '@sanctum/catalog';
import { IDENTITIES, isIdentity } from '@sanctum/contracts';
import { SanctumError } from '@sanctum/errors';
import {
  dropOldAuthority,
  renewCertificates,
  revokeCertificates,
  rolloverStatus,
  signWithNextAuthority,
  trustNextAuthority,
  untilTakenOver,
  type RenewReport,
} from '@sanctum/identity';
import { announceIdentities } from '../instance/nats-users.js';
import { bindAddresses } from '../instance/prepare.js';
import type { Site } from '../instance/site.js';
import type { Terminal } from '../terminal/terminal.js';
import { auditCertificates, auditRevoked, auditRollover } from './audit-certificates.js';

export interface RenewRequest {
  /** `server` and identities; all when empty. */
  readonly subjects: readonly string[];
  /** Only what is due by its age, or unusable. */
  readonly due: boolean;
}

/** Replaces certificates; running services take them over. */
export async function certsRenew(
  site: Site,
  terminal: Terminal,
  request: RenewRequest,
): Promise<void> {
  const instance = loadInstance(site.paths.instanceFile);
  request.subjects.forEach(assertSubject);
  const { renewed, byRequest, kept, problems } = await renew(site, instance, request);
  for (const path of renewed) {
    terminal.say(`renewed  ${path}${byRequest.includes(path) ? "  at the service's request" : ''}`);
  }
  kept.forEach((path) => terminal.say(`kept     ${path}`));
  assertDone(problems);
  if (renewed.length + kept.length === 0) {
    terminal.say(`No certificates in ${site.paths.certs}. \`sanctumctl certs init\` makes them.`);
  }
}

export interface RevokeRequest {
  /** `server`, an identity, or a serial number. */
  readonly target: string;
  /** Issues a new certificate first, and revokes what it replaces. */
  readonly replace: boolean;
}

/** Takes certificates back; listeners, live connections and NATS know within seconds. */
export async function certsRevoke(
  site: Site,
  terminal: Terminal,
  { target, replace }: RevokeRequest,
): Promise<void> {
  const instance = loadInstance(site.paths.instanceFile);
  if (replace) {
    assertSubject(target);
    assertDone((await renew(site, instance, { subjects: [target], due: false })).problems);
    // Whoever uses the identity has the new one before the old one is refused.
    await untilTakenOver(site.paths, IDENTITIES);
  }
  const { revoked, archived } = await revokeCertificates({
    home: site.paths,
    target,
    keepNewest: replace,
  });
  const nats = await announceIdentities(site, instance);
  await auditRevoked(site, revoked);
  for (const { subject, serial } of revoked) terminal.say(`revoked  ${subject} ${serial}`);
  archived.forEach((path) => terminal.say(`kept as  ${path}`));
  if (revoked.length === 0) terminal.say('Nothing was left to revoke.');
  if (nats === 'reloaded') terminal.say('NATS reads who may log in.');
  if (nats === 'written') {
    terminal.say('No supervisor runs NATS here: it knows when it is started, or sent SIGHUP.');
  }
  if (!replace && target !== 'server' && revoked.length > 0) {
    terminal.say(`\`sanctumctl certs issue ${revoked[0]?.subject ?? target}\` makes a new one.`);
  }
}

export type RolloverStep = 'start' | 'finish' | 'status';

/** Changes the CA while everything runs: both are trusted, leaves are reissued, the old one goes. */
export async function certsRollover(
  site: Site,
  terminal: Terminal,
  step: RolloverStep,
): Promise<void> {
  const instance = loadInstance(site.paths.instanceFile);
  const { paths } = site;
  switch (step) {
    case 'start':
      await startRollover(site, instance, terminal);
      return;
    case 'finish': {
      // Who still serves with a certificate of the old CA would be refused from here on.
      await untilTakenOver(paths, IDENTITIES);
      const archived = await dropOldAuthority(paths);
      await announceIdentities(site, instance);
      await auditRollover(site, 'finish');
      archived.forEach((path) => terminal.say(`kept as  ${path}`));
      terminal.say('The old CA is trusted no more.');
      return;
    }
    case 'status': {
      const { phase, remaining } = await rolloverStatus(paths);
      const left = remaining.length === 0 ? '' : `, still of the old CA: ${remaining.join(', ')}`;
      terminal.say(`${SAID[phase]}${left}`);
    }
  }
}

const SAID = {
  none: 'No rollover is under way.',
  trusting: 'The new CA is trusted and signs nothing yet: `certs rollover start` goes on.',
  signing: 'The new CA signs; both are trusted. `certs rollover finish` ends it',
} as const;

/** Called again after a crash, it goes on where it was. */
async function startRollover(site: Site, instance: Instance, terminal: Terminal): Promise<void> {
  const { paths } = site;
  if ((await rolloverStatus(paths)).phase !== 'signing') {
    await trustNextAuthority(paths, instance.instance.name);
    await announceIdentities(site, instance);
    terminal.say('There is a new CA; both are trusted.');
  }
  // A certificate of the new CA must not reach anybody who does not know that CA yet.
  await untilTakenOver(paths, IDENTITIES);
  await signWithNextAuthority(paths);
  await auditRollover(site, 'start');
  const { remaining } = await rolloverStatus(paths);
  if (remaining.length > 0) {
    const { renewed, problems } = await renew(site, instance, { subjects: remaining, due: false });
    terminal.say(`${renewed.length} certificates are reissued.`);
    assertDone(problems);
  }
  terminal.say('Give copies on other machines theirs, then `sanctumctl certs rollover finish`.');
}

async function renew(site: Site, instance: Instance, request: RenewRequest): Promise<RenewReport> {
  const report = await renewCertificates({
    home: site.paths,
    instance: instance.instance.name,
    addresses: bindAddresses(instance),
    subjects: request.subjects.length === 0 ? ['server', ...IDENTITIES] : request.subjects,
    select: request.due ? 'due' : 'all',
    days: instance.certificates.leaf_days,
    announce: async () => {
      await announceIdentities(site, instance);
    },
  });
  await auditCertificates(site, 'renewed', report.renewed);
  return report;
}

function assertDone(problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new SanctumError('certificate_invalid', problems.join('\n'));
}

function assertSubject(subject: string): void {
  if (subject === 'server' || isIdentity(subject)) return;
  throw new SanctumError(
    'config_invalid',
    `"${subject}" is no identity; expected server or one of ${IDENTITIES.join(', ')}.`,
  );
}
