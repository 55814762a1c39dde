import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf, replaceFile, writeFileAtomic } from '@sanctum/catalog';
import { messageOf } from '@sanctum/errors';
import { z } from 'zod';

/** How a request was let in. `open`: authentication was switched off. */
export const TRANSPORTS = ['mtls', 'bearer', 'plain-loopback', 'open'] as const;
export type CountedTransport = (typeof TRANSPORTS)[number];

export interface Hit {
  readonly transport: CountedTransport;
  /** Of the certificate; a token and loopback tell nobody's name. */
  readonly identity: string;
}

const recordSchema = z.strictObject({
  /** When counting began. */
  since: z.iso.datetime(),
  days: z.record(
    z.iso.date(),
    z.array(
      z.strictObject({
        transport: z.enum(TRANSPORTS),
        identity: z.string().max(64),
        count: z.int().min(1),
      }),
    ),
  ),
});
export type TransportRecord = z.output<typeof recordSchema>;

export interface TransportCountsOptions {
  readonly file: string;
  /** Told when the file cannot be read or written; counting goes on. */
  readonly onProblem: (reason: string) => void;
  readonly now?: () => Date;
}

type DayHits = Map<string, Hit & { count: number }>;

const DAY_MS = 86_400_000;
/** Days that are kept: the seven that a decision looks at, and the one that is not over. */
const DAYS_KEPT = 8;
/** Identities counted by name each day; more are counted together. */
export const IDENTITIES_MAX = 64;
const OTHERS = 'others';
const WRITE_AFTER_MS = 5_000;

/**
 * Counts who came in how, a day and an identity at a time, in a small file that outlives the
 * process. The first hit of its kind on a day is on disk at once; of later ones a crash loses those
 * of the last seconds, so that what is not in the file did not happen.
 */
export class TransportCounts {
  readonly #options: TransportCountsOptions;
  readonly #since: string;
  readonly #days: Map<string, DayHits>;
  #dayNumber = NaN;
  #hits: DayHits = new Map();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  /** Counts what was written at once. */
  #generation = 0;

  private constructor(options: TransportCountsOptions, record: TransportRecord) {
    this.#options = options;
    this.#since = record.since;
    this.#days = new Map(
      Object.entries(record.days).map(([day, hits]) => [
        day,
        new Map(hits.map((hit) => [keyOf(hit), hit])),
      ]),
    );
  }

  /** Goes on counting where the file ends. */
  static async open(options: TransportCountsOptions): Promise<TransportCounts> {
    const now = options.now?.() ?? new Date();
    const record = await readTransportRecord(options.file).catch((error: unknown) => {
      options.onProblem(messageOf(error));
      return undefined;
    });
    mkdirSync(dirname(options.file), { recursive: true, mode: 0o700 });
    const counts = new TransportCounts(options, record ?? { since: now.toISOString(), days: {} });
    // That counting began is part of the answer: nothing counted is not nothing known.
    counts.#writeNow();
    return counts;
  }

  count(hit: Hit): void {
    const hits = this.#today();
    const known = hits.get(keyOf(hit)) ?? hits.get(keyOf(placeFor(hit, hits)));
    if (known === undefined) {
      const counted = placeFor(hit, hits);
      hits.set(keyOf(counted), { ...counted, count: 1 });
      this.#writeNow();
      return;
    }
    known.count += 1;
    this.#timer ??= setTimeout(() => {
      this.#writing = this.#writeLater();
    }, WRITE_AFTER_MS).unref();
  }

  /** Spelt once a day: this is asked with every request. */
  #today(): DayHits {
    const dayNumber = Math.floor((this.#options.now?.().getTime() ?? Date.now()) / DAY_MS);
    if (dayNumber !== this.#dayNumber) {
      this.#dayNumber = dayNumber;
      const day = new Date(dayNumber * DAY_MS).toISOString().slice(0, 10);
      this.#hits = this.#days.get(day) ?? new Map<string, Hit & { count: number }>();
      this.#days.set(day, this.#hits);
    }
    return this.#hits;
  }

  /** Writes all that was counted, once what is being written is. */
  async close(): Promise<void> {
    await this.#writing;
    this.#writeNow();
  }

  #writeNow(): void {
    this.#generation++;
    try {
      writeFileAtomic(this.#options.file, this.#text());
    } catch (error) {
      this.#options.onProblem(messageOf(error));
    }
  }

  /** Without keeping requests waiting for the disk. */
  async #writeLater(): Promise<void> {
    const generation = this.#generation;
    try {
      await replaceFile(this.#options.file, this.#text());
    } catch (error) {
      this.#options.onProblem(messageOf(error));
    }
    // What was written meanwhile was newer.
    if (generation !== this.#generation) this.#writeNow();
  }

  #text(): string {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const days = [...this.#days.keys()].sort();
    for (const day of days.slice(0, -DAYS_KEPT)) this.#days.delete(day);
    const record: TransportRecord = {
      since: this.#since,
      days: Object.fromEntries([...this.#days].map(([day, hits]) => [day, [...hits.values()]])),
    };
    return `${JSON.stringify(record)}\n`;
  }
}

/** What a service has counted; undefined where it never did. Throws for a file that is no record. */
export async function readTransportRecord(file: string): Promise<TransportRecord | undefined> {
  try {
    return recordSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function placeFor(hit: Hit, hits: DayHits): Hit {
  return hits.size >= IDENTITIES_MAX ? { ...hit, identity: OTHERS } : hit;
}

function keyOf({ transport, identity }: Hit): string {
  return `${transport} ${identity}`;
}
