import { join } from 'node:path';
import {
  ANCHOR_EVENT,
  AuditLog,
  readLines,
  type AuditData,
  type AuditLine,
  type AuditTrouble,
} from '@sanctum/audit';
import type { HomePaths } from '@sanctum/catalog';
import type { AuditHead, ServiceName } from '@sanctum/contracts';
import type { Logger } from 'pino';
import type { Bus } from './bus.js';
import type { Metrics } from './metrics.js';

const ANCHOR_INTERVAL_MS = 3_600_000;
/** Of one service; a head told more often is not written down again. */
const ANCHOR_PAUSE_MS = 60_000;
const REASON_LENGTH_MAX = 1_000;

export interface ServiceAuditOptions {
  readonly home: HomePaths;
  readonly service: ServiceName;
  readonly instance: string;
  readonly logger: Logger;
  readonly anchorIntervalMs?: number;
  readonly anchorPauseMs?: number;
}

/**
 * The audit chain of a running service: its lines, its troubles told to log, metrics and bus, and
 * heads exchanged with the other services, so that no chain can be rewritten on its own.
 */
export class ServiceAudit {
  readonly #options: ServiceAuditOptions;
  readonly #anchored = new Map<string, number>();
  #log: AuditLog | undefined;
  #bus: Bus | undefined;
  #timer: NodeJS.Timeout | undefined;

  private constructor(options: ServiceAuditOptions) {
    this.#options = options;
  }

  /** Opens `audit/<service>` of the home; throws `io` when it cannot be written. */
  static async open(options: ServiceAuditOptions): Promise<ServiceAudit> {
    const audit = new ServiceAudit(options);
    audit.#log = await AuditLog.open({
      dir: audit.#dir,
      onTrouble: (trouble) => audit.#tell(trouble),
    });
    return audit;
  }

  /** Durable when it resolves; when it rejects, what it speaks of must not be done. */
  async decide(event: string, data: AuditData): Promise<void> {
    await this.#open.decide(event, data);
  }

  /** Written with others within 100 ms; dropped and counted when the disk does not keep up. */
  note(event: string, data: AuditData): void {
    this.#open.note(event, data);
  }

  /** The last line of an event that the chain holds. */
  async lastOf(event: string): Promise<AuditLine | undefined> {
    let last: AuditLine | undefined;
    for await (const line of readLines(this.#dir)) if (line.event === event) last = line;
    return last;
  }

  /** From when the service has them; `audit` lines written before are not lost. */
  attach({ bus, metrics }: { readonly bus: Bus | undefined; readonly metrics: Metrics }): void {
    const { service, instance, anchorIntervalMs = ANCHOR_INTERVAL_MS } = this.#options;
    const log = this.#open;
    const gauges: [string, string, () => number][] = [
      ['audit_lines', 'Number of the last durable line of the audit chain.', () => log.head.seq],
      ['audit_dropped_lines', 'Lines lost since the start: the disk was slow.', () => log.dropped],
      ['audit_stalled', '1 while the audit cannot be written.', () => Number(log.stalled)],
    ];
    for (const [name, help, read] of gauges) metrics.gauge({ name, help, read });
    if (bus === undefined) return;
    this.#bus = bus;
    bus.exchangeHeads(
      () => ({ service, instance, ...log.head }),
      (head) => this.#anchor(head),
    );
    this.#timer = setInterval(() => bus.tellHead(), anchorIntervalMs).unref();
  }

  /** Writes what waits, and tells the others where the chain ends. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#log?.close();
    this.#bus?.tellHead();
  }

  get #open(): AuditLog {
    if (this.#log === undefined) throw new Error('The audit is not open');
    return this.#log;
  }

  get #dir(): string {
    return join(this.#options.home.audit, this.#options.service);
  }

  #anchor({ service, instance, seq, hash }: AuditHead): void {
    const { anchorPauseMs = ANCHOR_PAUSE_MS } = this.#options;
    const nowMs = performance.now();
    const since = nowMs - (this.#anchored.get(service) ?? -Infinity);
    if (instance !== this.#options.instance || seq === 0 || since < anchorPauseMs) return;
    this.#anchored.set(service, nowMs);
    this.#open.note(ANCHOR_EVENT, { service, seq, hash });
    // Who has just connected has heard nobody yet; the pause ends the exchange after one answer.
    this.#bus?.tellHead();
  }

  #tell(trouble: AuditTrouble): void {
    const { service, logger } = this.#options;
    const level = trouble.kind === 'recovered' ? 'warn' : 'error';
    logger[level]({ ...trouble }, `audit_${trouble.kind}`);
    this.#bus?.publishEvent('sanctum.incident.audit-trouble', { service, ...eventOf(trouble) });
  }
}

function eventOf(trouble: AuditTrouble) {
  switch (trouble.kind) {
    case 'stalled':
      return { kind: trouble.kind, reason: trouble.reason.slice(0, REASON_LENGTH_MAX) };
    case 'dropped':
      return { kind: trouble.kind, droppedLines: trouble.lines };
    case 'recovered': {
      const { kind, droppedLines, stalledMs } = trouble;
      return { kind, droppedLines, stalledMs };
    }
  }
}
