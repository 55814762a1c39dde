import { mkdir, open, readFile, rename, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { errnoOf } from '@sanctum/catalog';
import type { Logger } from 'pino';

export interface SpoolEntry {
  /** The message id: a second delivery is recognised by it. */
  readonly id: string;
  readonly subject: string;
  readonly payload: string;
}

export interface SpoolOptions {
  readonly file: string;
  readonly bytesMax?: number;
  readonly logger: Logger;
}

export const SPOOL_BYTES_MAX = 4 << 20;

interface Held extends SpoolEntry {
  readonly bytes: number;
}

/**
 * Events that no server has acknowledged yet, in order, in memory and in a JSONL file. Bounded in
 * bytes: the oldest give way, counted and logged. A torn last line is ignored when the file is read.
 */
export class Spool {
  readonly #file: string;
  readonly #bytesMax: number;
  readonly #logger: Logger;
  readonly #held = new Map<string, Held>();
  #heldBytes = 0;
  #dropped = 0;
  #fileBytes = 0;
  #unwritten: string[] = [];
  #rewrite = false;
  /** The file holds entries that were taken out: after a crash they are delivered again. */
  #stale = false;
  #handle: FileHandle | undefined;
  #flushing: Promise<void> | undefined;

  private constructor(options: SpoolOptions) {
    this.#file = options.file;
    this.#bytesMax = options.bytesMax ?? SPOOL_BYTES_MAX;
    this.#logger = options.logger;
  }

  /** Reads what an earlier process left. An unreadable file costs its events, never the start. */
  static async open(options: SpoolOptions): Promise<Spool> {
    const spool = new Spool(options);
    try {
      await mkdir(path.dirname(options.file), { recursive: true, mode: 0o700 });
      spool.#load(await readFile(options.file, 'utf8'));
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') {
        options.logger.error({ err: error, file: options.file }, 'spool_unreadable');
        spool.#rewrite = true;
      }
    }
    return spool;
  }

  get size(): number {
    return this.#held.size;
  }

  /** Events lost since the start because the spool was full. */
  get dropped(): number {
    return this.#dropped;
  }

  get oldest(): SpoolEntry | undefined {
    return this.#held.values().next().value;
  }

  append(entry: SpoolEntry): void {
    this.#hold(entry);
    this.#unwritten.push(entry.id);
    this.#makeRoom();
  }

  /** Forgets an entry: the server has it, or will never take it. */
  remove(id: string): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    this.#held.delete(id);
    this.#heldBytes -= held.bytes;
    this.#stale = true;
    // Whole-file rewrites are spread out: only when the spool is empty or half of the file is stale.
    if (this.#held.size === 0 || this.#fileBytes > 2 * this.#heldBytes) this.#rewrite = true;
  }

  /** Brings the file up to date, with fsync; concurrent calls share the work. Never throws. */
  async flush(): Promise<boolean> {
    while (this.#flushing !== undefined) await this.#flushing;
    if (!this.#rewrite && this.#unwritten.length === 0) return true;
    let written = true;
    this.#flushing = this.#write()
      .catch((error: unknown) => {
        written = false;
        this.#logger.error({ err: error, file: this.#file }, 'spool_unwritable');
      })
      .finally(() => (this.#flushing = undefined));
    await this.#flushing;
    return written;
  }

  async close(): Promise<void> {
    if (this.#stale) this.#rewrite = true;
    await this.flush();
    await this.#handle?.close();
    this.#handle = undefined;
  }

  #load(text: string): void {
    const lines = text.split('\n');
    const torn = lines.pop() !== '';
    for (const line of lines) {
      const entry = parseEntry(line);
      if (entry === undefined) this.#rewrite = true;
      else this.#hold(entry);
    }
    this.#fileBytes = Buffer.byteLength(text);
    if (torn) this.#rewrite = true;
    this.#makeRoom();
  }

  #hold({ id, subject, payload }: SpoolEntry): void {
    const entry = { id, subject, payload };
    const bytes = Buffer.byteLength(lineOf(entry));
    this.#held.set(id, { ...entry, bytes });
    this.#heldBytes += bytes;
  }

  #makeRoom(): void {
    let gone = 0;
    for (const [id, { bytes }] of this.#held) {
      if (this.#heldBytes <= this.#bytesMax) break;
      this.#held.delete(id);
      this.#heldBytes -= bytes;
      gone += 1;
    }
    if (gone === 0) return;
    this.#dropped += gone;
    if (this.#fileBytes > this.#bytesMax) this.#rewrite = true;
    this.#logger.warn({ gone, dropped: this.#dropped, bytesMax: this.#bytesMax }, 'spool_full');
  }

  async #write(): Promise<void> {
    const fresh = this.#unwritten
      .map((id) => this.#held.get(id))
      .filter((held) => held !== undefined);
    const rewrite = this.#rewrite;
    this.#unwritten = [];
    this.#rewrite = false;
    try {
      if (rewrite) await this.#replace();
      else await this.#extend(fresh);
    } catch (error) {
      this.#rewrite = true;
      throw error;
    }
  }

  async #extend(entries: readonly Held[]): Promise<void> {
    if (entries.length === 0) return;
    this.#handle ??= await open(this.#file, 'a', 0o600);
    const text = entries.map(lineOf).join('');
    await this.#handle.appendFile(text);
    await this.#handle.datasync();
    this.#fileBytes += Buffer.byteLength(text);
  }

  async #replace(): Promise<void> {
    this.#stale = false;
    if (this.#held.size === 0 && this.#handle !== undefined) {
      // No fsync: what comes back after a crash is delivered again and recognised by its id.
      await this.#handle.truncate(0);
      this.#fileBytes = 0;
      return;
    }
    await this.#handle?.close();
    this.#handle = undefined;
    const text = [...this.#held.values()].map(lineOf).join('');
    const draft = `${this.#file}.tmp`;
    const handle = await open(draft, 'w', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, this.#file);
    this.#fileBytes = Buffer.byteLength(text);
  }
}

function lineOf({ id, subject, payload }: SpoolEntry): string {
  return `${JSON.stringify({ id, subject, payload })}\n`;
}

function parseEntry(line: string): SpoolEntry | undefined {
  try {
    const value = JSON.parse(line) as Partial<SpoolEntry> | null;
    const { id, subject, payload } = value ?? {};
    if (typeof id !== 'string' || typeof subject !== 'string' || typeof payload !== 'string') {
      return undefined;
    }
    return { id, subject, payload };
  } catch {
    return undefined;
  }
}
