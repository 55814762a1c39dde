import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { SanctumError } from '@sanctum/errors';

/** Who stands at the door, as the connection itself says; no header about addresses is believed. */
export type Visitor =
  | {
      readonly listener: 'plain';
      readonly address: string | undefined;
      readonly authorization: string | undefined;
    }
  | {
      readonly listener: 'mtls';
      readonly identity: string | undefined;
      /** `x-sanctum-client`: on whose behalf, believed of the router alone. */
      readonly onBehalfOf?: string | undefined;
    };

export interface AccessPolicy {
  /** The bearer token clients beyond loopback present; without one they stay outside. */
  readonly token: string | undefined;
  readonly disabled: boolean;
}

const ROUTER = 'sanctum-server';
const CLIENT_NAME = /^[\w.:@%/-]{1,128}$/;

export type Transport = 'mtls' | 'bearer' | 'plain-loopback' | 'auth-disabled';

export interface Admitted {
  readonly transport: Transport;
  /** The certificate's name; `local`, `bearer` or `anybody` without one. */
  readonly identity: string;
  /** Whose turn in the fair queue a request takes. */
  readonly client: string;
}

/**
 * Lets a visitor in or throws `unauthorized` or `forbidden`. Plain listener: loopback passes, others
 * need the token. mTLS listener: the certificate alone counts, and it must name an identity.
 */
export function admit(visitor: Visitor, policy: AccessPolicy): Admitted {
  if (visitor.listener === 'mtls') {
    const { identity } = visitor;
    if (identity !== undefined) return { transport: 'mtls', identity, client: clientOf(visitor) };
    throw new SanctumError('forbidden', 'The certificate names no identity of this instance.');
  }
  const client = visitor.address ?? 'unknown';
  if (isLoopback(visitor.address)) {
    return { transport: 'plain-loopback', identity: 'local', client };
  }
  if (policy.disabled) {
    return { transport: 'auth-disabled', identity: 'anybody', client };
  }
  if (policy.token !== undefined && bearerMatches(visitor.authorization, policy.token)) {
    return { transport: 'bearer', identity: 'bearer', client };
  }
  throw new SanctumError(
    'unauthorized',
    policy.token === undefined
      ? 'Only this machine may use the plain listener: no bearer token is set up.'
      : 'Send the token of this instance as "Authorization: Bearer <token>".',
  );
}

/** The router serves many: each of its clients has a turn of its own. */
function clientOf({ identity = '', onBehalfOf }: Extract<Visitor, { listener: 'mtls' }>): string {
  const named = identity === ROUTER && CLIENT_NAME.test(onBehalfOf ?? '');
  return named ? `${identity}/${onBehalfOf ?? ''}` : identity;
}

/** 127.0.0.0/8, ::1, and 127.0.0.0/8 mapped into IPv6. */
export function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false;
  if (address === '::1') return true;
  const v4 = address.toLowerCase().startsWith('::ffff:') ? address.slice(7) : address;
  return isIP(v4) === 4 && v4.startsWith('127.');
}

/** Digests have one length whatever was sent, so neither length nor content shows in the time. */
function bearerMatches(header: string | undefined, token: string): boolean {
  const sent = /^Bearer (?<token>[\x21-\x7e]{1,512})$/i.exec(header ?? '')?.groups?.['token'];
  const matches = timingSafeEqual(digest(sent ?? ''), digest(token));
  return matches && sent !== undefined;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
