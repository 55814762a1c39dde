import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf } from '@sanctum/catalog';
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

/**
 * Replaces the file whole without holding the event loop: temp file, fsync, rename, all of it in the
 * thread pool. A reader, or a successor after a crash, finds the former state or this one.
 */
export async function writeState(path: string, state: unknown): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temp = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = await open(temp, 'wx', 0o600);
    try {
      await file.writeFile(JSON.stringify(state));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temp, path);
  } catch (error) {
    await rm(temp, { force: true });
    throw error;
  }
}
