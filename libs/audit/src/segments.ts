import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';

const SEGMENT = /^(?<first>\d{12})\.jsonl$/;
const TORN = /^\d{12}\.jsonl\.torn-\d+(?<fresh>\.new)?$/;
const SEQ_DIGITS = 12;

/** One file of a chain, named after the number of its first line. */
export interface Segment {
  readonly path: string;
  readonly first: number;
}

/** The files of a chain in their order; none when there is no chain. */
export function listSegments(dir: string): Segment[] {
  return namesIn(dir)
    .flatMap((name) => {
      const first = SEGMENT.exec(name)?.groups?.['first'];
      return first === undefined ? [] : [{ path: join(dir, name), first: Number(first) }];
    })
    .sort((a, b) => a.first - b.first);
}

export function segmentPath(dir: string, first: number): string {
  return join(dir, `${String(first).padStart(SEQ_DIGITS, '0')}.jsonl`);
}

/** Where bytes that are no line are put; `.new` until the chain says so. */
export function tornPath(segment: string, offset: number): string {
  return `${segment}.torn-${offset}.new`;
}

/** Set aside, and not yet noted in the chain. */
export function listUnnotedTorn(dir: string): string[] {
  return namesIn(dir)
    .filter((name) => TORN.exec(name)?.groups?.['fresh'] !== undefined)
    .sort()
    .map((name) => join(dir, name));
}

export function notedName(torn: string): string {
  return torn.replace(/\.new$/, '');
}

/** The services that have a chain below `root`. */
export function listChains(root: string): string[] {
  if (!existsSync(root)) return [];
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && listSegments(join(root, entry.name)).length > 0)
    .map((entry) => basename(entry.name))
    .sort();
}

function namesIn(dir: string): string[] {
  return existsSync(dir) ? readdirSync(dir) : [];
}
