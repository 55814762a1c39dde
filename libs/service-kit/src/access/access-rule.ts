import { createHash, timingSafeEqual } from 'node:crypto';
import { isLoopback } from '@sanctum/contracts';
import { SanctumError } from '@sanctum/errors';
import { foreignSign, isOwnCall, type Calling } from './this-machine.js';

/**
 * Who stands at the door, as the connection itself says. No header about addresses is believed; what
 * browsers sign is, because it can only shut a door.
 */
export type Visitor =
  | ({ readonly listener: 'plain'; readonly authorization: string | undefined } & Calling)
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
const THE_TOKEN = 'the token of this instance as "Authorization: Bearer <token>"';
const SIGN_LENGTH_MAX = 100;

export type Transport = 'mtls' | 'bearer' | 'plain-loopback' | 'auth-disabled';

export interface Admitted {
  readonly transport: Transport;
  /** The certificate's name; `local`, `bearer` or `anybody` without one. */
  readonly identity: string;
  /** Whose turn in the fair queue a request takes. */
  readonly client: string;
}

/**
 * Lets a visitor in or throws `unauthorized` or `forbidden`. Plain listener: loopback passes, unless
 * a web page from elsewhere asks through it; others need the token. mTLS listener: the certificate
 * alone counts, and it must name an identity.
 */
export function admit(visitor: Visitor, policy: AccessPolicy): Admitted {
  if (visitor.listener === 'mtls') {
    const { identity } = visitor;
    if (identity !== undefined) return { transport: 'mtls', identity, client: clientOf(visitor) };
    throw new SanctumError('forbidden', 'The certificate names no identity of this instance.');
  }
  const client = visitor.address ?? 'unknown';
  if (isOwnCall(visitor)) {
    return { transport: 'plain-loopback', identity: 'local', client };
  }
  if (policy.disabled) {
    return { transport: 'auth-disabled', identity: 'anybody', client };
  }
  if (policy.token !== undefined && bearerMatches(visitor.authorization, policy.token)) {
    return { transport: 'bearer', identity: 'bearer', client };
  }
  throw isLoopback(visitor.address) ? pageRefused(visitor, policy) : strangerRefused(policy);
}

function strangerRefused({ token }: AccessPolicy): SanctumError {
  return new SanctumError(
    'unauthorized',
    token === undefined
      ? 'Only this machine may use the plain listener: no bearer token is set up.'
      : `Send ${THE_TOKEN}.`,
  );
}

function pageRefused(visitor: Calling, { token }: AccessPolicy): SanctumError {
  const sign = foreignSign(visitor)?.slice(0, SIGN_LENGTH_MAX);
  const otherwise = token === undefined ? '' : `, or send ${THE_TOKEN}`;
  return new SanctumError(
    'forbidden',
    `${JSON.stringify(sign)} is neither a name of this machine nor a page of it. ` +
      `Call it localhost, or by its address${otherwise}.`,
  );
}

/** The router serves many: each of its clients has a turn of its own. */
function clientOf({ identity = '', onBehalfOf }: Extract<Visitor, { listener: 'mtls' }>): string {
  const named = identity === ROUTER && CLIENT_NAME.test(onBehalfOf ?? '');
  return named ? `${identity}/${onBehalfOf ?? ''}` : identity;
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
