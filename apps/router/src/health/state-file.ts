import { mkdir, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf, replaceFile } from '@sanctum/catalog';
import { messageOf } from '@sanctum/errors';
import type { z } from 'zod';

/** A larger file is none of ours. */
export const STATE_BYTES_MAX = 8 << 20;

export type ReadState<State> =
  | { readonly kind: 'absent' }
  | { readonly kind: 'read'; readonly state: State }
  /** Torn, foreign or of another version; it lies at `setAsideAs` now. */
  | { readonly kind: 'unreadable'; readonly setAsideAs: string; readonly reason: string };

/** Reads a JSON file; one that does not hold what it should is set aside, never an error. */
export async function readState<State>(
  path: string,
  schema: z.ZodType<State>,
): Promise<ReadState<State>> {
  try {
    const text = await readFile(path, 'utf8');
    if (text.length > STATE_BYTES_MAX)
      throw new RangeError(`${text.length} characters are too many`);
    return { kind: 'read', state: schema.parse(JSON.parse(text)) };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return { kind: 'absent' };
    const setAsideAs = `${path}.unreadable`;
    await rename(path, setAsideAs).catch(() => undefined);
    return { kind: 'unreadable', setAsideAs, reason: messageOf(error) };
  }
}

/** Replaces the file whole: a reader, or a successor after a crash, finds the former state or this. */
export async function writeState(path: string, state: unknown): Promise<void> {
  const text = JSON.stringify(state);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await replaceFile(path, text);
}
