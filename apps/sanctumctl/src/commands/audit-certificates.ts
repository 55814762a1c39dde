import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describeCertificate } from '@sanctum/identity';
import type { Site } from '../instance/site.js';
import { auditOperator } from './audit.js';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Writes down whose certificates these files hold, and their serial numbers. Throws `io`. */
export async function auditCertificates(
  site: Site,
  action: 'issued' | 'renewed',
  files: readonly string[],
): Promise<void> {
  for (const file of files) {
    const { identity, kind, serial } = describeCertificate(readFileSync(file, 'utf8'), file);
    await auditOperator(site, `certificate_${action}`, {
      identity: identity?.name ?? kind,
      serial,
    });
  }
}

/** Writes down what was taken back. Throws `io`. */
export async function auditRevoked(
  site: Site,
  revoked: readonly { readonly subject: string; readonly serial: string }[],
): Promise<void> {
  for (const { subject, serial } of revoked) {
    await auditOperator(site, 'certificate_revoked', { identity: subject, serial });
  }
}

/** Writes down a step of a rollover, and the serial numbers of every CA trusted after it. */
export async function auditRollover(site: Site, step: 'start' | 'finish'): Promise<void> {
  const bundle = readFileSync(site.paths.ca.cert, 'utf8').match(CERTIFICATE) ?? [];
  const trusted = bundle.map((pem) => new X509Certificate(pem).serialNumber);
  await auditOperator(site, `authority_rollover_${step}`, { trusted });
}
