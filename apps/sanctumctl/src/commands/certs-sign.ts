import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { loadInstance, writeFileAtomic } from '@sanctum/catalog';
import { isIdentity, IDENTITIES } from '@sanctum/contracts';
import { messageOf, SanctumError } from '@sanctum/errors';
import { signRequest } from '@sanctum/identity';
import { announceIdentities } from '../instance/nats-users.js';
import type { Site } from '../instance/site.js';
import type { Terminal } from '../terminal/terminal.js';
import { auditOperator } from './audit.js';

export interface SignOrder {
  /** File of the request. */
  readonly request: string;
  readonly identity: string;
  /** File of the certificate. */
  readonly out: string;
  readonly days: number | undefined;
}

/** Signs a certificate for a key on another machine. */
export async function certsSign(site: Site, terminal: Terminal, order: SignOrder): Promise<void> {
  if (!isIdentity(order.identity)) {
    throw new SanctumError(
      'config_invalid',
      `"${order.identity}" is no identity; expected one of ${IDENTITIES.join(', ')}.`,
    );
  }
  const instance = loadInstance(site.paths.instanceFile);
  const { info, cert } = await signRequest({
    home: site.paths,
    instance: instance.instance.name,
    identity: order.identity,
    days: order.days ?? instance.certificates.leaf_days,
    request: readRequest(order.request),
  });
  await announceIdentities(site, instance);
  await auditOperator(site, 'certificate_signed', {
    identity: order.identity,
    serial: info.serial,
  });
  writeFileAtomic(resolve(order.out), cert, 0o644);
  terminal.say(`made  ${order.out}, valid until ${info.notAfter.toISOString()}`);
  terminal.say(`It goes to the other machine together with ${site.paths.ca.cert}.`);
}

function readRequest(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new SanctumError('io', `${path} cannot be read: ${messageOf(error)}.`, {
      cause: error,
      param: path,
    });
  }
}
