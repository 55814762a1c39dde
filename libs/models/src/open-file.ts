import { readSync } from 'node:fs';
import { SanctumError, messageOf } from '@sanctum/errors';

/** A file of the model folder, verified and opened by the caller: never opened again by name. */
export interface OpenFile {
  /** Name inside the model folder, such as `config.json`. */
  readonly name: string;
  readonly fd: number;
  /** Bytes. */
  readonly size: number;
}

/** Configuration and index files stay far below this; a larger one is not what it says. */
export const JSON_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Reads `length` bytes at `offset` without moving the descriptor's position.
 * @throws model_invalid when the file ends early or cannot be read
 */
export function readBytes(
  file: OpenFile,
  { offset, length }: { offset: number; length: number },
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const count = readSome(file, bytes.subarray(filled), offset + filled);
    if (count === 0) {
      throw new SanctumError(
        'model_invalid',
        `${file.name}: ends at byte ${offset + filled}, but ${length} bytes are needed from ` +
          `${offset}. The file is truncated: copy the model again.`,
        { param: file.name },
      );
    }
    filled += count;
  }
  return bytes;
}

/**
 * Parses a JSON object file.
 * @throws model_invalid when the file is too large, not UTF-8, not JSON or not an object
 */
export function readJsonObject(file: OpenFile): Record<string, unknown> {
  if (file.size > JSON_BYTES_MAX) {
    throw new SanctumError(
      'model_invalid',
      `${file.name}: ${file.size} bytes; a JSON file of a model may have ${JSON_BYTES_MAX}.`,
      { param: file.name },
    );
  }
  return parseJsonObject(readBytes(file, { offset: 0, length: file.size }), file.name);
}

/** As `readJsonObject`, over bytes; `where` begins every message. */
export function parseJsonObject(bytes: Uint8Array, where: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new SanctumError('model_invalid', `${where}: not valid JSON: ${messageOf(cause)}`, {
      cause,
      param: where,
    });
  }
  if (!isJsonObject(value)) {
    throw new SanctumError('model_invalid', `${where}: expected a JSON object.`, { param: where });
  }
  return value;
}

export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readSome(file: OpenFile, target: Uint8Array, position: number): number {
  try {
    return readSync(file.fd, target, 0, target.length, position);
  } catch (cause) {
    throw new SanctumError('model_invalid', `${file.name}: cannot be read: ${messageOf(cause)}`, {
      cause,
      param: file.name,
    });
  }
}
