import { join } from 'node:path';
import {
  EMPTY_HEAD,
  GENESIS,
  hashLine,
  parseLine,
  type AuditLine,
  type ChainHead,
} from './audit-line.js';
import { hashesAt, rawLines, type RawLine } from './read-chain.js';
import { listChains, segmentPath } from './segments.js';

/** Where a chain is not what was written. */
export interface ChainBreak {
  readonly file: string;
  /** From 1; 0 for the file as a whole. */
  readonly line: number;
  readonly reason: string;
}

/** That another chain had a certain head when it was told so. */
export interface Anchor {
  /** The chain that holds the anchor. */
  readonly holder: string;
  readonly holderSeq: number;
  /** The chain it speaks of. */
  readonly service: string;
  readonly seq: number;
  readonly hash: string;
  readonly at: string;
}

export interface ChainReport {
  readonly service: string;
  readonly lines: number;
  readonly head: ChainHead;
  /** Number of the first line that is still there. */
  readonly first: number;
  /** The first thing wrong; undefined when every link holds. */
  readonly broken: ChainBreak | undefined;
  /** Bytes behind the last line that its writer had not finished: never acknowledged. */
  readonly tornBytes: number;
  /** Anchors of other chains that were found true of this one, and the time of the last. */
  readonly anchors: { readonly held: number; readonly last: string | undefined };
}

export const ANCHOR_EVENT = 'audit_anchor';

interface Walk {
  readonly service: string;
  readonly head: ChainHead;
  readonly lines: number;
  readonly first: number;
  readonly broken: ChainBreak | undefined;
  readonly tornBytes: number;
  readonly anchors: readonly Anchor[];
}

/**
 * Checks every link of the chains below `root`, then what they say of each other: an anchor is the
 * head of a chain as another service saw it, so a chain that was rewritten or cut is found although
 * all of its own links hold. Reads only. `services` leaves out others.
 */
export async function verifyChains(
  root: string,
  services?: readonly string[],
): Promise<readonly ChainReport[]> {
  const walks: Walk[] = [];
  for (const service of new Set([...(services ?? []), ...listChains(root)])) {
    walks.push(await walkChain(join(root, service), service));
  }
  const anchors = walks.flatMap((walk) => walk.anchors);
  // A chain that others have seen and that is gone altogether.
  for (const service of new Set(anchors.map((anchor) => anchor.service))) {
    if (walks.some((walk) => walk.service === service)) continue;
    walks.push(await walkChain(join(root, service), service));
  }
  const reports: ChainReport[] = [];
  for (const walk of walks.filter(({ service }) => services?.includes(service) ?? true)) {
    const own = anchors.filter((anchor) => anchor.service === walk.service);
    reports.push(await judgeAnchors(join(root, walk.service), walk, own));
  }
  return reports;
}

async function walkChain(dir: string, service: string): Promise<Walk> {
  const walk = new ChainWalk(service);
  for await (const raw of rawLines(dir)) walk.take(raw);
  return walk;
}

/** A chain read from its first line to its last. */
class ChainWalk implements Walk {
  head = EMPTY_HEAD;
  lines = 0;
  first = 0;
  readonly anchors: Anchor[] = [];
  readonly #retired = new Set<string>();
  #start: { readonly raw: RawLine; readonly line: AuditLine } | undefined;
  #broken: ChainBreak | undefined;
  #torn: RawLine | undefined;

  constructor(readonly service: string) {}

  /** A chain that begins late is broken at its beginning, which comes before all else. */
  get broken(): ChainBreak | undefined {
    return (this.#start && startFault(this.#start, this.#retired)) ?? this.#broken;
  }

  get tornBytes(): number {
    return this.#torn?.bytes.length ?? 0;
  }

  take(raw: RawLine): void {
    if (this.#torn !== undefined) this.#broken ??= breakAt(this.#torn, 'is not a whole line');
    this.#torn = raw.complete ? undefined : raw;
    if (!raw.complete) return;
    const line = parseLine(raw.bytes.toString('utf8'));
    if (line === undefined) this.#broken ??= breakAt(raw, 'is not a line of a chain');
    else this.#link(raw, line);
  }

  #link(raw: RawLine, line: AuditLine): void {
    if (this.#start === undefined) {
      this.#start = { raw, line };
      this.first = line.seq;
    } else {
      this.#broken ??= linkFault(raw, line, this.head);
    }
    this.lines += 1;
    this.head = { seq: line.seq, hash: hashLine(raw.bytes) };
    collect(line, { service: this.service, retired: this.#retired, anchors: this.anchors });
  }
}

function linkFault(raw: RawLine, line: AuditLine, head: ChainHead): ChainBreak | undefined {
  if (line.seq !== head.seq + 1) {
    return breakAt(raw, `has number ${line.seq} where ${head.seq + 1} was expected`);
  }
  if (line.prev !== head.hash) {
    return breakAt(raw, `does not follow from line ${head.seq}, which was changed or replaced`);
  }
  if (raw.number === 1 && raw.segment.first !== line.seq) {
    return breakAt(raw, `has number ${line.seq}, not the one its file is named after`);
  }
  return undefined;
}

/** A chain begins at 1, or where the chain itself says that older segments were removed. */
function startFault(
  { raw, line }: { readonly raw: RawLine; readonly line: AuditLine },
  retired: ReadonlySet<string>,
): ChainBreak | undefined {
  if (line.seq === 1 && line.prev === GENESIS) return undefined;
  if (retired.has(`${line.seq - 1} ${line.prev}`)) return undefined;
  return {
    file: raw.segment.path,
    line: raw.number,
    reason: `begins with number ${line.seq}: what came before is missing, and the chain does not say it was removed`,
  };
}

function collect(
  line: AuditLine,
  into: { readonly service: string; readonly retired: Set<string>; readonly anchors: Anchor[] },
): void {
  const { service, seq, hash } = line.data;
  if (typeof seq !== 'number' || typeof hash !== 'string') return;
  if (line.event === 'audit_retired') into.retired.add(`${seq} ${hash}`);
  if (line.event !== ANCHOR_EVENT || typeof service !== 'string') return;
  const { at } = line;
  into.anchors.push({ holder: into.service, holderSeq: line.seq, service, seq, hash, at });
}

async function judgeAnchors(
  dir: string,
  walk: Walk,
  anchors: readonly Anchor[],
): Promise<ChainReport> {
  const { service, lines, head, first, tornBytes } = walk;
  const hashes = await hashesAt(dir, new Set(anchors.map(({ seq }) => seq)));
  const checkable = anchors.filter(({ seq }) => seq >= first && seq > 0);
  const wrong = checkable.find(({ seq, hash }) => hashes.get(seq) !== hash);
  const held = checkable.filter(({ seq, hash }) => hashes.get(seq) === hash);
  return {
    ...{ service, lines, head, first, tornBytes },
    broken:
      walk.broken ?? (wrong && anchorFault(dir, wrong, { first, found: hashes.has(wrong.seq) })),
    anchors: { held: held.length, last: held.at(-1)?.at },
  };
}

function anchorFault(
  dir: string,
  { holder, holderSeq, seq, at }: Anchor,
  seen: { readonly first: number; readonly found: boolean },
): ChainBreak {
  const witness = `line ${holderSeq} of ${holder} saw it at ${at}`;
  const reason = seen.found
    ? `line ${seq} is another one than when ${witness}: the chain was rewritten`
    : `line ${seq} is missing, though ${witness}: the chain was cut`;
  return { file: segmentPath(dir, Math.max(1, seen.first)), line: 0, reason };
}

function breakAt({ segment, number }: RawLine, reason: string): ChainBreak {
  return { file: segment.path, line: number, reason };
}
