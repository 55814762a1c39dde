import { spawn } from 'node:child_process';
import { findProcess, groupMembers, type ProcessId } from '@sanctum/catalog';
import { messageOf } from '@sanctum/errors';
import { withLog } from './log-file.js';
import { endGroup, KILL_WAIT_MS, signalProcess } from './orphans.js';
import type { ServiceSpec } from './service-manager.js';
import { serviceMarker } from './service-marker.js';

/** One run of a service's program: a session of its own, writing straight into its log. */
export class SupervisedProcess {
  readonly startedAt = new Date();
  /** Undefined when the program could not be started, or had ended before it was looked at. */
  readonly id: ProcessId | undefined;
  /** Resolves with the reason when the program and everything it forked is gone. */
  readonly gone: Promise<string>;
  readonly #leaderGone: Promise<string>;

  constructor(
    spec: ServiceSpec,
    { logFile, recordFile }: { readonly logFile: string; readonly recordFile: string },
  ) {
    const [program, ...args] = spec.command;
    const child = withLog(logFile, (log) =>
      spawn(program, args, {
        cwd: spec.cwd,
        env: { ...spec.env, ...serviceMarker(spec.name, recordFile) },
        // A session of its own: Ctrl-C reaches the supervisor only, which stops in order.
        detached: true,
        stdio: ['ignore', log, log],
      }),
    );
    this.#leaderGone = new Promise((resolve) => {
      child.on('exit', (code, signal) =>
        resolve(signal === null ? `exited with code ${String(code)}` : `ended by ${signal}`),
      );
      child.on('error', (error) => resolve(`cannot be run: ${messageOf(error)}`));
    });
    const entry = child.pid === undefined ? undefined : findProcess(child.pid);
    this.id = entry === undefined ? undefined : { pid: entry.pid, started: entry.started };
    this.gone = this.#leaderGone.then(async (reason) => {
      await this.#endStragglers();
      return reason;
    });
  }

  get pids(): readonly number[] {
    return this.id === undefined ? [] : groupMembers(this.id);
  }

  /** SIGTERM to the program alone, so that it can drain its own children; SIGKILL at the deadline. */
  async terminate(graceMs: number): Promise<void> {
    if (this.id === undefined) {
      return;
    }
    const { pid } = this.id;
    signalProcess(pid, 'SIGTERM');
    const deadline = setTimeout(() => signalProcess(-pid, 'SIGKILL'), graceMs);
    await this.#leaderGone;
    clearTimeout(deadline);
  }

  async #endStragglers(): Promise<void> {
    if (this.id !== undefined) {
      await endGroup(this.id, KILL_WAIT_MS);
    }
  }
}
