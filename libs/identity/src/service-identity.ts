import { SanctumError } from '@sanctum/errors';

/** Who a certificate speaks for. Two generations of one name may be valid during a rotation. */
export interface ServiceIdentity {
  readonly instance: string;
  readonly name: string;
  readonly generation: number;
}

const NAME = /^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const URI =
  /^spiffe:\/\/sanctum\.(?<instance>[a-z0-9-]{1,63})\/svc\/(?<name>[a-z0-9-]{1,63})\/g(?<generation>[1-9]\d{0,8})$/;

/** `spiffe://sanctum.<instance>/svc/<name>/g<generation>`. Throws `config_invalid`. */
export function identityUri(identity: ServiceIdentity): string {
  assertName('instance', identity.instance);
  assertName('identity', identity.name);
  if (!Number.isInteger(identity.generation) || identity.generation < 1) {
    throw new SanctumError(
      'config_invalid',
      `Generation ${identity.generation} of ${identity.name} is not a whole number from 1 up.`,
    );
  }
  return `spiffe://sanctum.${identity.instance}/svc/${identity.name}/g${identity.generation}`;
}

/** The identity a URI spells, or undefined for any other URI. */
export function parseIdentityUri(uri: string): ServiceIdentity | undefined {
  const groups = URI.exec(uri)?.groups;
  const { instance = '', name = '', generation = '' } = groups ?? {};
  if (!NAME.test(instance) || !NAME.test(name)) return undefined;
  return { instance, name, generation: Number(generation) };
}

export function assertName(what: 'instance' | 'identity', name: string): void {
  if (NAME.test(name)) return;
  throw new SanctumError(
    'config_invalid',
    `"${name}" cannot name an ${what}: use up to 63 lower-case letters, digits and dashes, ` +
      `beginning with a letter.`,
    { param: what },
  );
}
