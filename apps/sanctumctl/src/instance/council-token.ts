import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { writeFileAtomic, type HomePaths, type Instance } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';

const TOKEN_BYTES = 32;

/**
 * The bearer token clients beyond loopback present: 64 hexadecimal digits, 0600. Undefined, and none
 * is made, once nothing in the instance takes one. Throws `config_invalid` for a file without.
 */
export function ensureCouncilToken(paths: HomePaths, instance: Instance): string | undefined {
  if (!takesCouncilToken(paths, instance)) {
    return undefined;
  }
  if (!existsSync(paths.councilToken)) {
    writeFileAtomic(paths.councilToken, `${randomBytes(TOKEN_BYTES).toString('hex')}\n`);
  }
  const token = readFileSync(paths.councilToken, 'utf8').trim();
  if (!/^[0-9a-f]{64}$/.test(token)) {
    throw new SanctumError(
      'config_invalid',
      `${paths.councilToken} does not hold 64 hexadecimal digits. Remove it to have a new one made.`,
      { param: paths.councilToken },
    );
  }
  return token;
}

function takesCouncilToken(paths: HomePaths, instance: Instance): boolean {
  return hasPlainEngine(instance) || tokenFileOfRouter(instance) === paths.councilToken;
}

/** Whether a listener lets in who presents a bearer token. */
export function takesBearer(instance: Instance): boolean {
  return hasPlainEngine(instance) || tokenFileOfRouter(instance) !== undefined;
}

function hasPlainEngine({ services: { engine } }: Instance): boolean {
  return engine?.enabled === true && engine.listeners.plain.enabled;
}

function tokenFileOfRouter({ services: { router } }: Instance): string | undefined {
  return router?.enabled === true ? router.auth_token_file : undefined;
}
