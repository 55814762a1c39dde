import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
} from 'node:fs';
import { basename } from 'node:path';
import { writeFileAtomic } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { EMPTY_HEAD, hashLine, LINE_BYTES_MAX, parseLine, type ChainHead } from './audit-line.js';
import { listSegments, tornPath, type Segment } from './segments.js';

/** Of what may lie behind the last whole line; more of it is no torn write. */
const TORN_BYTES_MAX = 64 * 1024 * 1024;

/** The end of a chain as it was found, whole. */
export interface FoundTail {
  readonly head: ChainHead;
  /** The segment that goes on, and its length in bytes; undefined for a new chain. */
  readonly segment: (Segment & { readonly bytes: number }) | undefined;
}

/**
 * Finds the end of a chain. What a killed writer left behind the last whole line is moved into a
 * file beside the segment (never thrown away), so that the next line has a whole one before it.
 * Lines further up are not judged: that is what verification is for. Throws `io`.
 */
export function findTail(dir: string): FoundTail {
  const segments = listSegments(dir);
  for (let last = segments.pop(); last !== undefined; last = segments.pop()) {
    const found = healSegment(last);
    if (found !== undefined) return found;
    // Nothing whole was ever written to it.
    rmSync(last.path);
  }
  return { head: EMPTY_HEAD, segment: undefined };
}

function healSegment(segment: Segment): FoundTail | undefined {
  const fd = openSync(segment.path, 'r+');
  try {
    const { size } = fstatSync(fd);
    const last = lastWholeLine(fd, size);
    const end = last?.end ?? 0;
    if (end < size) setAside({ fd, segment, end, size });
    return last === undefined
      ? undefined
      : { head: last.head, segment: { ...segment, bytes: last.end } };
  } finally {
    closeSync(fd);
  }
}

function setAside(torn: {
  readonly fd: number;
  readonly segment: Segment;
  readonly end: number;
  readonly size: number;
}): void {
  const { fd, segment, end, size } = torn;
  if (size - end > TORN_BYTES_MAX) {
    throw new SanctumError(
      'io',
      `${segment.path} ends in ${size - end} bytes that are no audit lines. Move them to another ` +
        `file and cut this one to ${end} bytes.`,
      { param: segment.path },
    );
  }
  writeFileAtomic(tornPath(segment.path, end), readAt(fd, end, size - end));
  ftruncateSync(fd, end);
  fsyncSync(fd);
}

/** Looks back from the end, in windows that grow until a whole line is in one. */
function lastWholeLine(fd: number, size: number): { head: ChainHead; end: number } | undefined {
  for (let window = 4 * LINE_BYTES_MAX; ; window *= 4) {
    const start = Math.max(0, size - window);
    const bytes = readAt(fd, start, size - start);
    const found = lastLineIn(bytes, start === 0);
    if (found !== undefined) return { head: found.head, end: start + found.end };
    if (start === 0) return undefined;
  }
}

function lastLineIn(bytes: Buffer, isWhole: boolean): { head: ChainHead; end: number } | undefined {
  let end = bytes.lastIndexOf(0x0a);
  while (end >= 0) {
    const start = end === 0 ? 0 : bytes.lastIndexOf(0x0a, end - 1) + 1;
    // The first line of a window may have lost its beginning.
    if (start === 0 && !isWhole) return undefined;
    const text = bytes.subarray(start, end);
    const line = parseLine(text.toString('utf8'));
    if (line !== undefined) return { head: { seq: line.seq, hash: hashLine(text) }, end: end + 1 };
    if (start === 0) return undefined;
    end = start - 1;
  }
  return undefined;
}

function readAt(fd: number, position: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const read = readSync(fd, buffer, filled, length - filled, position + filled);
    if (read === 0) break;
    filled += read;
  }
  return buffer.subarray(0, filled);
}

/** What the chain says of bytes that were set aside. */
export function describeTorn(path: string, bytes: Uint8Array): Record<string, unknown> {
  return { file: basename(path), bytes: bytes.length, sha256: hashLine(bytes) };
}
