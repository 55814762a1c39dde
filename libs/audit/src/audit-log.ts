import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import { basename } from 'node:path';
import { messageOf, SanctumError } from '@sanctum/errors';
import { assertEventName, linkLine, LINE_BYTES_MAX, SpeltClock } from './audit-line.js';
import type { ChainHead, Note } from './audit-line.js';
import {
  AUDIT_DEFAULTS,
  DECISION_RESERVE_BYTES,
  NOTES_MAX,
  type AuditData,
  type AuditOptions,
  type AuditSettings,
  type AuditTrouble,
} from './audit-options.js';
import { describeTorn, findTail, type FoundTail } from './heal.js';
import { PendingLines } from './pending-lines.js';
import { removeSegment, retirable } from './retention.js';
import { ForeignWriterError, SegmentWriter } from './segment-writer.js';
import { listUnnotedTorn, notedName } from './segments.js';

/**
 * The writer of one chain. A decision resolves when it is on the disk and rejects when it is not:
 * whoever decides must not act then. A note costs its caller a few microseconds and is written with
 * others in a group; when the disk does not keep up notes are dropped, counted, and the count is
 * chained as soon as there is room.
 */
export class AuditLog {
  readonly #settings: AuditSettings;
  readonly #pending = new PendingLines();
  /** Not chained yet: in a loop of its own a line costs a third of what it costs on its way. */
  #notes: Note[] = [];
  #head: ChainHead;
  #durable: ChainHead;
  #segment: SegmentWriter | undefined;
  #groupTimer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> | undefined;
  #stalledSince: number | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #dropped = 0;
  #droppedUntold = 0;
  #closed = false;
  #broken: Error | undefined;
  readonly #clock: SpeltClock;

  private constructor(
    settings: AuditSettings,
    tail: FoundTail,
    segment: SegmentWriter | undefined,
  ) {
    this.#settings = settings;
    this.#clock = new SpeltClock(settings.now);
    this.#head = tail.head;
    this.#durable = tail.head;
    this.#segment = segment;
  }

  /** Heals the tail, notes that it did, and is ready to write. Throws `io`. */
  static async open(options: AuditOptions): Promise<AuditLog> {
    const settings = { ...AUDIT_DEFAULTS, ...options };
    const { dir } = settings;
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      const tail = findTail(dir);
      const segment = tail.segment && (await SegmentWriter.reopen(tail.segment));
      const log = new AuditLog(settings, tail, segment);
      for (const torn of listUnnotedTorn(dir)) await log.#noteTorn(torn);
      return log;
    } catch (error) {
      throw new SanctumError('io', `The audit in ${dir} cannot be opened: ${messageOf(error)}`, {
        cause: error,
        param: dir,
      });
    }
  }

  /** The last durable line. */
  get head(): ChainHead {
    return this.#durable;
  }

  /** Notes lost since the log was opened. */
  get dropped(): number {
    return this.#dropped;
  }

  get stalled(): boolean {
    return this.#stalledSince !== undefined;
  }

  /**
   * Chains a decision; resolves with its place when it is durable. Rejects with `io` when the disk
   * refuses, does not answer in time, or too many wait: then nothing may be done that it speaks of.
   */
  async decide(event: string, data: AuditData): Promise<ChainHead> {
    this.#assertOpen();
    const { pendingBytesMax, decisionTimeoutMs } = this.#settings;
    if (this.#broken !== undefined) throw this.#broken;
    if (this.stalled || this.#pending.bytes > pendingBytesMax + DECISION_RESERVE_BYTES) {
      throw this.#unavailable('the disk does not take what was written before');
    }
    assertEventName(event);
    const place = this.#chainNow(event, data);
    const durable = this.#pending.durable(place.seq);
    this.#flushNow();
    const timer = setTimeout(
      () => this.#pending.reject(place.seq, this.#unavailable('the disk did not answer in time')),
      decisionTimeoutMs,
    );
    try {
      await durable;
      return place;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Takes a note, to be chained and written with the next group: `data` must not change any more.
   * Never throws, never waits.
   */
  note(event: string, data: AuditData): void {
    assertEventName(event);
    if (this.#closed || this.#broken !== undefined) {
      this.#drop();
      return;
    }
    this.#notes.push({ event, data, at: this.#clock.read() });
    if (this.#notes.length >= NOTES_MAX) this.#chainNotes();
    this.#armGroup();
  }

  /** Resolves when every note so far is durable; rejects with `io` when the disk refuses them. */
  async settled(): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken;
    this.#chainNotes();
    if (this.#head.seq <= this.#durable.seq) return;
    const durable = this.#pending.durable(this.#head.seq);
    this.#flushNow();
    await durable;
  }

  /** Writes what waits, once; what the disk refuses then is lost and was never acknowledged. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#chainNotes();
    clearTimeout(this.#retryTimer);
    await this.#flushing;
    while (this.#pending.bytes > 0 && (await this.#flush()));
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#groupTimer);
    this.#pending.rejectAll(this.#unavailable('the log was closed'));
    await this.#segment?.close();
    this.#segment = undefined;
  }

  /** After what was noted before it. */
  #chainNow(event: string, data: AuditData): ChainHead {
    this.#chainNotes();
    return this.#link({ event, data, at: this.#clock.read() });
  }

  #chainNotes(): void {
    const notes = this.#notes;
    if (notes.length === 0) return;
    this.#notes = [];
    for (const note of notes) {
      if (this.#pending.bytes + LINE_BYTES_MAX <= this.#settings.pendingBytesMax) this.#link(note);
      else this.#drop();
    }
  }

  #link(note: Note): ChainHead {
    const { text, head } = linkLine(this.#head, note);
    this.#head = head;
    this.#pending.add(text);
    return head;
  }

  #flushNow(): void {
    clearTimeout(this.#groupTimer);
    this.#groupTimer = undefined;
    this.#chainNotes();
    if (this.stalled || this.#flushing !== undefined) return;
    this.#flushing = this.#flush().then((written) => {
      this.#flushing = undefined;
      if (!written || this.#closed || this.#pending.bytes === 0) return;
      // What was chained while the write ran: who waits is served at once, notes form a group.
      if (this.#pending.awaited) this.#flushNow();
      else this.#armGroup();
    });
  }

  #armGroup(): void {
    this.#groupTimer ??= setTimeout(() => this.#flushNow(), this.#settings.groupMs);
  }

  /** One write of all that waits; whether the disk took it. */
  async #flush(): Promise<boolean> {
    if (this.#pending.bytes === 0 || this.#broken !== undefined) return false;
    const head = this.#head;
    const batch = this.#pending.take();
    try {
      await this.#write(batch);
    } catch (error) {
      this.#pending.putBack(batch);
      this.#onRefused(error);
      return false;
    }
    this.#durable = head;
    this.#pending.resolveTo(head.seq);
    this.#onWritten();
    return true;
  }

  async #write(batch: Buffer): Promise<void> {
    const { dir, segmentBytesMax } = this.#settings;
    const full = this.#segment !== undefined && this.#segment.bytes >= segmentBytesMax;
    if (this.#segment === undefined || full) {
      await this.#segment?.close();
      this.#segment = undefined;
      this.#segment = await SegmentWriter.create(dir, this.#durable.seq + 1);
      if (full) this.#retire();
    }
    await this.#segment.append(batch);
  }

  /** The chain says what goes before it is gone: one that begins late names its reason. */
  #retire(): void {
    const { dir, retainedBytesMax } = this.#settings;
    for (const { path, head } of retirable(dir, retainedBytesMax)) {
      const { seq } = this.#chainNow('audit_retired', { segment: basename(path), ...head });
      this.#pending.durable(seq).then(
        () => removeSegment(dir, path),
        () => undefined,
      );
    }
  }

  async #noteTorn(torn: string): Promise<void> {
    const noted = notedName(torn);
    await this.decide('audit_healed', describeTorn(noted, readFileSync(torn)));
    renameSync(torn, noted);
  }

  #onRefused(error: unknown): void {
    this.#pending.rejectAll(this.#unavailable(messageOf(error), error));
    if (error instanceof ForeignWriterError) {
      this.#broken = error;
      this.#tell({ kind: 'stalled', reason: error.message });
      return;
    }
    if (this.#stalledSince === undefined) {
      this.#stalledSince = performance.now();
      this.#tell({ kind: 'stalled', reason: messageOf(error) });
    }
    if (this.#closed) return;
    this.#retryTimer = setTimeout(() => {
      this.#flushing ??= this.#flush().then(() => {
        this.#flushing = undefined;
      });
    }, this.#settings.retryMs).unref();
  }

  #onWritten(): void {
    const since = this.#stalledSince;
    if (since === undefined && this.#droppedUntold === 0) return;
    const stalledMs = since === undefined ? 0 : Math.round(performance.now() - since);
    const droppedLines = this.#droppedUntold;
    this.#stalledSince = undefined;
    this.#droppedUntold = 0;
    this.#chainNow('audit_gap', { stalled_ms: stalledMs, dropped_lines: droppedLines });
    this.#armGroup();
    this.#tell({ kind: 'recovered', stalledMs, droppedLines });
  }

  #drop(): void {
    this.#dropped += 1;
    this.#droppedUntold += 1;
    if (this.#droppedUntold === 1) this.#tell({ kind: 'dropped', lines: this.#dropped });
  }

  #tell(trouble: AuditTrouble): void {
    this.#settings.onTrouble?.(trouble);
  }

  #assertOpen(): void {
    if (this.#closed) throw this.#unavailable('it is closed');
  }

  #unavailable(why: string, cause?: unknown): SanctumError {
    const { dir } = this.#settings;
    return new SanctumError('io', `The audit in ${dir} cannot be written: ${why}`, {
      cause,
      param: dir,
    });
  }
}
