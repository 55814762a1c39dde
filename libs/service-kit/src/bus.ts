import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import {
  auditHeadSubject,
  EVENT_BYTES_MAX,
  eventSchema,
  heartbeatSubject,
  parseWith,
  permissionsFor,
  SERVICES,
  SUBJECTS,
  subscription,
  type AuditHead,
  type EventEnvelope,
  type EventPayloads,
  type EventSubject,
  type Heartbeat,
} from '@sanctum/contracts';
import { errnoOf } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { crlPathOf, watchFiles, type FileWatch } from '@sanctum/identity';
import { BusSession, type SessionOptions } from './bus-session.js';
import { heardHead } from './heard-head.js';
import type { Metrics } from './metrics.js';
import type { StateHolder } from './service-state.js';
import { Spool } from './spool.js';
import { retryPauseMs, withinMs } from './bus-timing.js';

export interface BusOptions extends SessionOptions {
  readonly spoolFile: string;
  readonly state: StateHolder;
  readonly metrics: Metrics;
  readonly spoolBytesMax?: number;
  readonly heartbeatMs?: number;
  /** The longest pause between two attempts to connect; the first is a fraction of it. */
  readonly retryMaxMs?: number;
  readonly certificatePollMs?: number;
}

const HEARTBEAT_MS = 5000;
const CLOSE_TIMEOUT_MS = 2000;

/**
 * The service's face on NATS. Starting, publishing and stopping never wait for the server: events
 * go to the spool first and from there to JetStream whenever there is a connection.
 */
export class Bus {
  readonly #options: BusOptions;
  readonly #spool: Spool;
  readonly #startedAt = new Date().toISOString();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly certificates: FileWatch;
  #session: BusSession | undefined;
  #sequence = 0;
  #sending: Promise<void> | undefined;
  #heads: { readonly own: () => AuditHead; readonly heard: (head: AuditHead) => void } | undefined;

  private constructor(options: BusOptions, spool: Spool) {
    this.#options = options;
    this.#spool = spool;
    this.#registerMetrics();
    options.state.onChange(() => this.#beat());
    this.#running = this.#run();
    const { tls, logger, certificatePollMs: pollMs } = options;
    this.certificates = watchFiles({
      paths: [tls.ca, crlPathOf(tls.ca), tls.cert, tls.key],
      onChange: () => this.#renew(),
      onProblem: (error) => logger.warn({ reason: messageOf(error) }, 'bus_certificate_kept'),
      ...(pollMs === undefined ? {} : { pollMs }),
    });
  }

  /** Reads the spool, then connects in the background for as long as the service lives. */
  static async start(options: BusOptions): Promise<Bus> {
    const { spoolFile, spoolBytesMax, logger } = options;
    const bytesMax = spoolBytesMax === undefined ? {} : { bytesMax: spoolBytesMax };
    return new Bus(options, await Spool.open({ file: spoolFile, logger, ...bytesMax }));
  }

  get connected(): boolean {
    return this.#session !== undefined;
  }

  get spooled(): number {
    return this.#spool.size;
  }

  get dropped(): number {
    return this.#spool.dropped;
  }

  /**
   * Keeps an event for its stream and returns at once; it is delivered exactly once as consumers
   * count, whatever dies in between. Throws `internal` when the payload is not what the subject
   * declares: a defect of the caller.
   */
  publishEvent<Subject extends EventSubject>(subject: Subject, data: EventPayloads[Subject]): void {
    const { service } = this.#options;
    const schema = eventSchema(subject);
    if (schema === undefined || !permissionsFor(SERVICES[service]).publish.includes(subject)) {
      throw new SanctumError('internal', `${subject} is no declared event of ${service}`);
    }
    const envelope: EventEnvelope = {
      id: randomUUID(),
      at: new Date().toISOString(),
      service,
      instance: this.#options.instance,
      host: hostname(),
    };
    const payload = JSON.stringify({ ...envelope, data: parseWith(schema, data, 'internal') });
    if (Buffer.byteLength(payload) > EVENT_BYTES_MAX) {
      throw new SanctumError('internal', `${subject}: more than ${EVENT_BYTES_MAX} bytes`);
    }
    this.#spool.append({ id: envelope.id, subject, payload });
    this.#send();
  }

  /**
   * Says where the service's audit chain ends, at each connection and whenever `tellHead` is called,
   * and hears the same of others. A head that the schema or its subject belies is not heard.
   */
  exchangeHeads(own: () => AuditHead, heard: (head: AuditHead) => void): void {
    this.#heads = { own, heard };
    if (this.#session !== undefined) this.#hearHeads(this.#session);
  }

  tellHead(): void {
    const session = this.#session;
    const heads = this.#heads;
    if (heads === undefined || session === undefined || session.connection.isClosed()) return;
    const subject = auditHeadSubject(this.#options.service);
    session.connection.publish(subject, JSON.stringify(heads.own()));
  }

  #hearHeads(session: BusSession): void {
    const heads = this.#heads;
    if (heads === undefined) return;
    session.connection.subscribe(subscription(SUBJECTS.auditHead), {
      callback: (error, message) => {
        if (error !== null) return;
        const head = heardHead(message.subject, message.string());
        if (head !== undefined && head.service !== this.#options.service) heads.heard(head);
      },
    });
    this.tellHead();
  }

  /** Ends the connection; what is not delivered by then stays on disk for the next start. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.certificates.close();
    await this.#session?.connection.close();
    // A handshake under way cannot be called off: it ends by itself and finds the bus stopped.
    await withinMs(this.#running, CLOSE_TIMEOUT_MS);
    await this.#sending;
    await this.#spool.close();
  }

  /** Waits until every event is delivered, at most `timeoutMs`; whether it is. */
  async flush(timeoutMs = CLOSE_TIMEOUT_MS): Promise<boolean> {
    if (this.#sending !== undefined) await withinMs(this.#sending, timeoutMs);
    return this.#spool.size === 0;
  }

  async #run(): Promise<void> {
    let attempt = 0;
    while (!this.#stop.signal.aborted) {
      try {
        this.#session = await BusSession.open(this.#options);
        this.#options.logger.info({ url: this.#options.url }, 'bus_connected');
        attempt = 0;
        // A new certificate may have put another session in the place of the one that ended.
        for (let served: BusSession | undefined; served !== this.#session;) {
          served = this.#session;
          await this.#serve(served);
        }
      } catch (error) {
        // Once is enough to say that the server is away; the metric shows for how long.
        const level = attempt === 0 ? 'warn' : 'debug';
        this.#options.logger[level]({ reason: messageOf(error) }, 'bus_unreachable');
      }
      this.#session = undefined;
      attempt += 1;
      await this.#pause(attempt);
    }
  }

  /**
   * Connects with the certificate that lies on disk now, and only then lets the old connection go:
   * what is under way on it ends there, and an event whose answer is lost is sent again by its id.
   */
  async #renew(): Promise<void> {
    const old = this.#session;
    if (old === undefined) return; // The next connection reads the files.
    const next = await BusSession.open(this.#options).catch(async (error: unknown) => {
      // What answers there is not NATS any more, so that the old session must not go on either.
      if (errnoOf(error) === 'CERT_REVOKED') await old.connection.close();
      throw error;
    });
    if (this.#session !== old || this.#stop.signal.aborted) {
      await next.connection.close();
      return;
    }
    this.#session = next;
    this.#options.logger.info({ url: this.#options.url }, 'bus_certificate_taken_over');
    await old.connection.drain().catch(() => undefined);
  }

  async #serve(session: BusSession): Promise<void> {
    if (this.#stop.signal.aborted) {
      await session.connection.close();
      return;
    }
    this.#beat();
    this.#hearHeads(session);
    this.#send();
    const beats = setInterval(() => {
      this.#beat();
      this.#send();
    }, this.#options.heartbeatMs ?? HEARTBEAT_MS);
    const reason = await session.connection.closed();
    clearInterval(beats);
    this.#options.logger.info({ reason: messageOf(reason ?? 'closed') }, 'bus_disconnected');
  }

  async #pause(attempt: number): Promise<void> {
    const { signal } = this.#stop;
    await delay(retryPauseMs(attempt, this.#options.retryMaxMs), undefined, {
      signal,
      ref: false,
    }).catch(() => undefined);
  }

  #beat(): void {
    const session = this.#session;
    if (session === undefined || session.connection.isClosed()) return;
    const { service, instance, version, state } = this.#options;
    const heartbeat: Heartbeat = {
      service,
      instance,
      host: hostname(),
      pid: process.pid,
      version,
      state: state.current,
      startedAt: this.#startedAt,
      sentAt: new Date().toISOString(),
      sequence: this.#sequence++,
      spooled: this.#spool.size,
      dropped: this.#spool.dropped,
    };
    session.connection.publish(heartbeatSubject(service), JSON.stringify(heartbeat));
  }

  #send(): void {
    this.#sending ??= this.#drainSpool()
      .then(
        () => this.#session !== undefined,
        (error: unknown) => {
          this.#options.logger.debug({ reason: messageOf(error) }, 'delivery_postponed');
          return false;
        },
      )
      .then((again) => {
        this.#sending = undefined;
        if (again && this.#spool.size > 0) this.#send();
      });
  }

  /** On disk before on the wire: an event outlives a crash between the two. */
  async #drainSpool(): Promise<void> {
    await this.#spool.flush();
    for (let entry = this.#spool.oldest; entry !== undefined; entry = this.#spool.oldest) {
      const session = this.#session;
      if (session === undefined) return;
      const outcome = await session.deliver(entry);
      this.#spool.remove(entry.id);
      if (outcome === 'refused') {
        this.#options.logger.error({ subject: entry.subject, id: entry.id }, 'event_refused');
      }
      await this.#spool.flush();
    }
  }

  #registerMetrics(): void {
    const { metrics } = this.#options;
    const gauges: [string, string, () => number][] = [
      ['bus_connected', '1 while connected to NATS.', () => Number(this.connected)],
      ['bus_spooled_events', 'Events that wait for an acknowledgement.', () => this.spooled],
      ['bus_dropped_events', 'Events lost because the spool was full.', () => this.dropped],
    ];
    for (const [name, help, read] of gauges) metrics.gauge({ name, help, read });
  }
}
