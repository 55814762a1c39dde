import { readFile } from 'node:fs/promises';
import { messageOf, SanctumError } from '@sanctum/errors';

/** Reads a PEM file. Throws `certificate_invalid`. */
export async function readPem(path: string, what: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new SanctumError(
      'certificate_invalid',
      `The ${what} ${path} cannot be read: ${messageOf(error)}`,
      { cause: error, param: path },
    );
  }
  if (text.includes('-----BEGIN ')) return text;
  throw new SanctumError('certificate_invalid', `The ${what} ${path} is not a PEM file.`, {
    param: path,
  });
}
