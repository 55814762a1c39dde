import type { Phase } from './lifecycle.js';
import type { Probe } from './probe.js';
import type { RestartPolicy } from './restart-policy.js';

/** What a service manager needs to know to run one service. */
export interface ServiceSpec {
  readonly name: string;
  /** Absolute program, then its arguments. */
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Services that are ready before this one is started the first time. */
  readonly requires: readonly string[];
  readonly readiness: Probe;
  /** From spawn to the first passed probe. */
  readonly startupTimeoutMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly stopTimeoutMs: number;
  readonly restart: RestartPolicy;
  /** Where clients reach it, without a path. */
  readonly url: string;
}

export interface ServiceStatus {
  readonly name: string;
  readonly state: Phase;
  /** Whether the readiness probe passes now. */
  readonly healthy: boolean;
  readonly enabled: boolean;
  readonly pid: number | null;
  /** The process and all it forked. */
  readonly pids: readonly number[];
  readonly url: string;
  readonly restarts: number;
  readonly startedAt: string | null;
  /** Why the last process ended, or why it was given up. */
  readonly reason: string | null;
  /** Inode of the program that runs, which an upgrade in place changes on disk only. */
  readonly inode: number | null;
}

/** Runs services; each platform has an adapter of its own. */
export interface ServiceManager {
  install(spec: ServiceSpec): Promise<void>;
  /** Stops the service first. */
  remove(name: string): Promise<void>;
  /** Resolves when the service is ready. */
  start(name: string): Promise<void>;
  /** Resolves when no process of it is left. */
  stop(name: string): Promise<void>;
  restart(name: string): Promise<void>;
  /** Lets `start` of everything include it. */
  enable(name: string): Promise<void>;
  disable(name: string): Promise<void>;
  status(name: string): Promise<ServiceStatus>;
  list(): Promise<readonly ServiceStatus[]>;
}
