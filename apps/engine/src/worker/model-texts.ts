import { readSync } from 'node:fs';
import { messageOf, SanctumError } from '@sanctum/errors';
import type { InheritedFile } from '../protocol.js';

/** Bytes of a tokenizer, template or configuration file. */
export const TEXT_BYTES_MAX = 256 * 1024 * 1024;

/** The text of one of the model's files through its inherited descriptor; undefined without it. */
export function readModelText(files: readonly InheritedFile[], name: string): string | undefined {
  const file = files.find((candidate) => candidate.name === name);
  if (file === undefined) return undefined;
  if (file.size > TEXT_BYTES_MAX) {
    throw new SanctumError(
      'model_invalid',
      `${name} has ${file.size} bytes; a text file of a model may have ${TEXT_BYTES_MAX}.`,
      { param: name },
    );
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readAll(file));
  } catch (cause) {
    throw new SanctumError('model_invalid', `${name} cannot be read: ${messageOf(cause)}`, {
      cause,
      param: name,
    });
  }
}

function readAll({ fd, size }: InheritedFile): Uint8Array {
  const bytes = new Uint8Array(size);
  let filled = 0;
  while (filled < size) {
    const count = readSync(fd, bytes, filled, size - filled, filled);
    if (count === 0) throw new Error(`the file ends at byte ${filled} of ${size}`);
    filled += count;
  }
  return bytes;
}
