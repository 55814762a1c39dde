import { readFileSync, statSync } from 'node:fs';
import { errnoOf } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';

export interface TokenFile {
  readonly path: string;
  /** By the operator; else it was looked for by convention. */
  readonly named: boolean;
}

const TOKEN = /^[\x21-\x7e]{16,512}$/;
const TOKEN_FILE_BYTES_MAX = 1024;

/**
 * The bearer token, or undefined when none was found by convention. Throws `config_invalid` for a
 * named file that cannot be read, for one that others may read, and for one without a token in it.
 */
export function readToken(settings: TokenFile | undefined): string | undefined {
  if (settings === undefined) return undefined;
  const { path, named } = settings;
  let text: string;
  try {
    const { mode, size } = statSync(path);
    if ((mode & 0o077) !== 0) throw invalid(path, 'can be read by others: run chmod 600 on it');
    if (size > TOKEN_FILE_BYTES_MAX) throw invalid(path, 'is too large to hold a token');
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (error instanceof SanctumError) throw error;
    if (!named && errnoOf(error) === 'ENOENT') return undefined;
    throw invalid(path, `cannot be read: ${messageOf(error)}`, error);
  }
  if (!TOKEN.test(text)) {
    throw invalid(path, 'does not hold one token of 16 to 512 printable characters');
  }
  return text;
}

function invalid(path: string, what: string, cause?: unknown): SanctumError {
  return new SanctumError('config_invalid', `The token file ${path} ${what}.`, {
    param: path,
    cause,
  });
}
