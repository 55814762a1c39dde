import { closeSync, createReadStream, openSync, readSync, fstatSync } from 'node:fs';
import {
  hashLine,
  LINE_BYTES_MAX,
  parseLine,
  type AuditLine,
  type ChainHead,
} from './audit-line.js';
import { listSegments, type Segment } from './segments.js';

/** A line as it stands in a file, whether or not it is one of a chain. */
export interface RawLine {
  readonly segment: Segment;
  /** From 1. */
  readonly number: number;
  readonly bytes: Buffer;
  /** Whether a line feed follows: without one its writer had not finished. */
  readonly complete: boolean;
}

/** A run of bytes without a line feed that is longer than this is cut there. */
const RUN_BYTES_MAX = 4 * LINE_BYTES_MAX;

/** All lines of a chain in their order, with bounded memory. */
export async function* rawLines(dir: string): AsyncGenerator<RawLine, void> {
  for (const segment of listSegments(dir)) yield* linesOf(segment);
}

async function* linesOf(segment: Segment): AsyncGenerator<RawLine, void> {
  let rest: Buffer = Buffer.alloc(0);
  let number = 1;
  for await (const chunk of createReadStream(segment.path) as AsyncIterable<Buffer>) {
    let bytes: Buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a)) {
      yield { segment, number, bytes: bytes.subarray(0, end), complete: true };
      number += 1;
      bytes = bytes.subarray(end + 1);
    }
    rest = bytes.subarray(0, RUN_BYTES_MAX);
  }
  if (rest.length > 0) yield { segment, number, bytes: rest, complete: false };
}

/** The lines of a chain that can be read, oldest first; what cannot be read is skipped. */
export async function* readLines(dir: string): AsyncGenerator<AuditLine, void> {
  for await (const { bytes } of rawLines(dir)) {
    const line = parseLine(bytes.toString('utf8'));
    if (line !== undefined) yield line;
  }
}

/** The SHA-256 of the lines with these numbers, as far as the chain still holds them. */
export async function hashesAt(
  dir: string,
  seqs: ReadonlySet<number>,
): Promise<ReadonlyMap<number, string>> {
  const found = new Map<number, string>();
  if (seqs.size === 0) return found;
  for await (const { bytes } of rawLines(dir)) {
    const line = parseLine(bytes.toString('utf8'));
    if (line !== undefined && seqs.has(line.seq)) found.set(line.seq, hashLine(bytes));
  }
  return found;
}

/** The end of a segment that is no longer written to. */
export function lastLineOf(path: string): ChainHead | undefined {
  const fd = openSync(path, 'r');
  try {
    const { size } = fstatSync(fd);
    const buffer = Buffer.alloc(Math.min(size, 2 * LINE_BYTES_MAX));
    const read = readSync(fd, buffer, 0, buffer.length, size - buffer.length);
    const text = buffer.subarray(0, read);
    const end = text.lastIndexOf(0x0a);
    const bytes = text.subarray(text.lastIndexOf(0x0a, end - 1) + 1, end);
    const line = end < 0 ? undefined : parseLine(bytes.toString('utf8'));
    return line === undefined ? undefined : { seq: line.seq, hash: hashLine(bytes) };
  } finally {
    closeSync(fd);
  }
}
