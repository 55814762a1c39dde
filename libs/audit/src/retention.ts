import { rmSync, statSync } from 'node:fs';
import type { ChainHead } from './audit-line.js';
import { lastLineOf } from './read-chain.js';
import { syncFolder } from './segment-writer.js';
import { listSegments } from './segments.js';

/** Always kept: the one written to and the one before it. */
const SEGMENTS_KEPT_MIN = 2;

/** The oldest segments of a chain that is longer than `retainedBytesMax`, each with its last line. */
export function retirable(
  dir: string,
  retainedBytesMax: number,
): { readonly path: string; readonly head: ChainHead }[] {
  const segments = listSegments(dir).map(({ path }) => ({ path, bytes: statSync(path).size }));
  let total = segments.reduce((sum, { bytes }) => sum + bytes, 0);
  const found: { path: string; head: ChainHead }[] = [];
  for (const { path, bytes } of segments.slice(0, -SEGMENTS_KEPT_MIN)) {
    const head = total > retainedBytesMax ? lastLineOf(path) : undefined;
    if (head === undefined) break;
    total -= bytes;
    found.push({ path, head });
  }
  return found;
}

export function removeSegment(dir: string, path: string): void {
  rmSync(path, { force: true });
  syncFolder(dir);
}
