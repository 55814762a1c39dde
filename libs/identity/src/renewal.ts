import { createHash } from 'node:crypto';
import type { CertificateInfo } from './inspect.js';

/** Renewal is due at this share of a certificate's life, less up to {@link JITTER_SHARE}. */
const DUE_SHARE = 2 / 3;
/** Spreads renewals: certificates made together do not fall due together. */
const JITTER_SHARE = 1 / 20;

/**
 * When a certificate is to be renewed: at two thirds of its life, up to a twentieth of the life
 * earlier. The jitter comes from the serial number, so that whoever asks gets the same answer.
 */
export function renewalDueAt(
  certificate: Pick<CertificateInfo, 'serial' | 'notBefore' | 'notAfter'>,
): Date {
  const { serial, notBefore, notAfter } = certificate;
  const digest = createHash('sha256').update(serial).digest();
  const jitter = (digest.readUInt32BE(0) / 2 ** 32) * JITTER_SHARE;
  const lifeMs = notAfter.getTime() - notBefore.getTime();
  return new Date(notBefore.getTime() + lifeMs * (DUE_SHARE - jitter));
}
