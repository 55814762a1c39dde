import { EventEmitter } from 'node:events';
import { appendFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findProcess, type HomePaths } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import type { Phase } from './lifecycle.js';
import { withGroupHeld } from './group-hold.js';
import { DEFAULT_LOG_LIMITS, rotateLog, UNHELD, type Hold, type LogLimits } from './log-file.js';
import { ManagedService } from './managed-service.js';
import { reapOrphans, type ReapedService } from './orphans.js';
import type { ServiceManager, ServiceSpec, ServiceStatus } from './service-manager.js';
import { startOrder } from './start-order.js';
import { acquireLock, lockFile } from './supervisor-lock.js';
import { writeRecord, type SupervisorRecord } from './supervisor-record.js';

export interface LocalSupervisorOptions {
  readonly paths: HomePaths;
  /** Where the control socket listens; recorded for those who look for it. */
  readonly socket: string;
  readonly logLimits?: LogLimits;
}

/** A service entered a phase. */
export interface ServiceEvent {
  readonly name: string;
  readonly state: Phase;
  readonly reason: string | null;
  readonly restarts: number;
  readonly at: string;
}

const MAINTENANCE_INTERVAL_MS = 5_000;
const ORPHAN_GRACE_MS = 5_000;

/**
 * Runs the services of one home as children of this process: in graph order, restarted with
 * backoff, stopped in reverse order. One per home; what a killed predecessor left is ended first.
 */
export class LocalSupervisor implements ServiceManager {
  readonly events = new EventEmitter<{ change: [ServiceEvent] }>();
  readonly reaped: readonly ReapedService[];
  readonly #options: LocalSupervisorOptions;
  readonly #services = new Map<string, ManagedService>();
  readonly #releaseLock: () => void;
  readonly #maintenance: NodeJS.Timeout;
  /** Counts stops of everything: a start of everything that is under way then ends. */
  #stops = 0;
  #recordLate = false;
  #rotating: Promise<void> | undefined;

  private constructor(
    options: LocalSupervisorOptions,
    held: { readonly releaseLock: () => void; readonly reaped: readonly ReapedService[] },
  ) {
    this.#options = options;
    this.#releaseLock = held.releaseLock;
    this.reaped = held.reaped;
    this.#maintenance = setInterval(() => this.#maintain(), MAINTENANCE_INTERVAL_MS);
    this.#record();
    for (const { name, pids } of held.reaped) {
      this.#log({ event: 'reaped', service: name, pids });
    }
  }

  static async open(options: LocalSupervisorOptions): Promise<LocalSupervisor> {
    const releaseLock = acquireLock(lockFile(options.paths));
    try {
      const reaped = await reapOrphans(options.paths.supervisorFile, ORPHAN_GRACE_MS);
      return new LocalSupervisor(options, { releaseLock, reaped });
    } catch (error) {
      releaseLock();
      throw error;
    }
  }

  logFile(name: string): string {
    return join(this.#options.paths.logs, `${name}.log`);
  }

  install(spec: ServiceSpec): Promise<void> {
    if (this.#services.has(spec.name)) {
      return Promise.reject(
        new SanctumError('config_invalid', `Service ${spec.name} is installed already.`),
      );
    }
    const service = new ManagedService(spec, {
      logFile: this.logFile(spec.name),
      recordFile: this.#options.paths.supervisorFile,
      requirementsReady: (own, signal) => this.#requirementsReady(own, signal),
      changed: (changed) => this.#changed(changed),
    });
    this.#services.set(spec.name, service);
    return Promise.resolve();
  }

  async remove(name: string): Promise<void> {
    await this.#get(name).stop();
    this.#services.delete(name);
  }

  async start(name: string): Promise<void> {
    await this.#get(name).start();
  }

  async stop(name: string): Promise<void> {
    await this.#get(name).stop();
  }

  async restart(name: string): Promise<void> {
    await this.stop(name);
    await this.start(name);
  }

  /**
   * Lets the service be dead when it dies, until `resume`. Throws `invalid_request` unless it is ready
   * and nobody else has paused it.
   */
  pause(name: string): void {
    const service = this.#get(name);
    if (service.phase !== 'ready' || service.isPaused) {
      const why = service.isPaused ? 'is paused already' : `is ${service.phase}, not ready`;
      throw new SanctumError('invalid_request', `${name} ${why}: it cannot be paused now.`);
    }
    service.pause();
    this.#log({ event: 'paused', name });
  }

  resume(name: string): void {
    this.#services.get(name)?.resume();
    this.#log({ event: 'resumed', name });
  }

  enable(name: string): Promise<void> {
    this.#get(name).enabled = true;
    return Promise.resolve();
  }

  disable(name: string): Promise<void> {
    this.#get(name).enabled = false;
    return Promise.resolve();
  }

  async status(name: string): Promise<ServiceStatus> {
    return this.#get(name).status();
  }

  async list(): Promise<readonly ServiceStatus[]> {
    return Promise.all([...this.#services.values()].map((service) => service.status()));
  }

  /** Starts every enabled service, each after those it requires; throws when one is given up. */
  async startAll(): Promise<void> {
    const stops = this.#stops;
    const enabled = this.#specs((service) => service.enabled);
    for (const name of startOrder(enabled)) {
      if (stops !== this.#stops) {
        throw new SanctumError('io', `Everything was stopped before ${name} was started.`);
      }
      await this.start(name);
    }
  }

  /** Stops everything in reverse order. Services that only wait or back off stop at once. */
  async stopAll(): Promise<void> {
    this.#stops += 1;
    for (const name of startOrder(this.#specs(() => true)).toReversed()) {
      await this.stop(name);
    }
  }

  /** Stops everything and gives the home free. */
  async close(): Promise<void> {
    await this.stopAll();
    clearInterval(this.#maintenance);
    await this.#rotating;
    this.#log({ event: 'closed' });
    rmSync(this.#options.paths.supervisorFile, { force: true });
    this.#releaseLock();
  }

  #specs(included: (service: ManagedService) => boolean): readonly ServiceSpec[] {
    return [...this.#services.values()].filter(included).map(({ spec }) => spec);
  }

  #get(name: string): ManagedService {
    const service = this.#services.get(name);
    if (service === undefined) {
      const known = [...this.#services.keys()].join(', ') || 'none';
      throw new SanctumError('not_found', `No service is called ${name}; there are: ${known}.`);
    }
    return service;
  }

  async #requirementsReady(spec: ServiceSpec, signal: AbortSignal): Promise<void> {
    await Promise.all(
      spec.requires.map((name) => this.#get(name).until((phase) => phase === 'ready', signal)),
    );
  }

  #changed(service: ManagedService): void {
    this.#record();
    const event: ServiceEvent = {
      name: service.spec.name,
      state: service.phase,
      reason: service.reason,
      restarts: service.restarts,
      at: new Date().toISOString(),
    };
    this.#log({ event: 'state', ...event });
    this.events.emit('change', event);
  }

  /**
   * Written whenever a process starts or ends, so that a successor can reap what we leave. A disk
   * that is full must not end the services: the record is then late, and written when it fits.
   */
  #record(): void {
    const self = findProcess(process.pid);
    if (self === undefined) {
      return;
    }
    const record: SupervisorRecord = {
      version: 1,
      supervisor: { pid: self.pid, started: self.started },
      socket: this.#options.socket,
      services: [...this.#services.values()].flatMap(({ spec, process: running }) =>
        running?.id === undefined ? [] : [{ name: spec.name, ...running.id }],
      ),
    };
    try {
      writeRecord(this.#options.paths.supervisorFile, record);
      this.#recordLate = false;
    } catch (error) {
      this.#recordLate = true;
      this.#log({ event: 'record_late', error: messageOf(error) });
    }
  }

  #log(entry: Readonly<Record<string, unknown>>): void {
    const line = { time: new Date().toISOString(), service: 'supervisor', ...entry };
    try {
      appendFileSync(this.logFile('supervisor'), `${JSON.stringify(line)}\n`, { mode: 0o600 });
    } catch {
      // A log that cannot be written is no reason to let services down.
    }
  }

  #maintain(): void {
    if (this.#recordLate) {
      this.#record();
    }
    this.#rotating ??= this.#rotateLogs().finally(() => (this.#rotating = undefined));
  }

  async #rotateLogs(): Promise<void> {
    const limits = this.#options.logLimits ?? DEFAULT_LOG_LIMITS;
    for (const name of ['supervisor', ...this.#services.keys()]) {
      const writer = this.#services.get(name)?.process?.id;
      const hold: Hold = writer === undefined ? UNHELD : (work) => withGroupHeld(writer, work);
      try {
        await rotateLog(this.logFile(name), limits, hold);
      } catch (error) {
        this.#log({ event: 'rotation_failed', log: name, error: messageOf(error) });
      }
    }
  }
}
