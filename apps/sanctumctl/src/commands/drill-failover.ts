import { setTimeout as wait } from 'node:timers/promises';
import { messageOf, SanctumError } from '@sanctum/errors';
import { ControlClient } from '@sanctum/supervision';
import type { Site } from '../instance/site.js';
import type { Terminal } from '../terminal/terminal.js';
import { LOAD_CONCURRENCY, SteadyLoad, type LoadSample } from './drill-load.js';
import {
  receiptOf,
  writeReceipt,
  type DrillReceipt,
  type DrillTimes,
  type RoundRecord,
} from './drill-receipt.js';
import { findTarget, type DrillTarget } from './drill-target.js';

export interface DrillOptions {
  readonly site: Site;
  readonly terminal: Terminal;
  /** The default backend when absent. */
  readonly backend: string | undefined;
  /** How often the primary is killed and brought back. */
  readonly rounds: number;
  /** Ends the drill early; what it killed is brought back all the same. */
  readonly signal: AbortSignal;
}

/** Good answers that make a phase. */
const PHASE_ANSWERS = 20;
const BASELINE_TIMEOUT_MS = 120_000;
const OUTAGE_TIMEOUT_MS = 180_000;
const RESTART_TIMEOUT_MS = 600_000;
/** A breaker waits half a minute before it looks again. */
const RETURN_TIMEOUT_MS = 180_000;
const STATUS_POLL_MS = 200;

/** Kills the primary of a backend under load, brings it back, and writes down what it cost. */
export async function drillFailover(options: DrillOptions): Promise<DrillReceipt> {
  const { site, terminal, signal } = options;
  const client = new ControlClient(site.socket);
  const target = await findTarget(site, client, options.backend);
  const startedAt = new Date().toISOString();
  const rounds: RoundRecord[] = [];
  let failure: string | null = null;
  while (rounds.length < options.rounds && failure === null && !signal.aborted) {
    if (options.rounds > 1) terminal.say(`Round ${rounds.length + 1} of ${options.rounds}`);
    const round = new FailoverRound(target, client, options);
    failure = await round.run();
    rounds.push(round.record);
  }
  const receipt = receiptOf(
    { ...headOf(target, startedAt), ...judge(rounds, failure, signal) },
    rounds,
  );
  terminal.say(`Receipt: ${writeReceipt(site.paths, receipt)}`);
  return receipt;
}

function headOf({ backend, urls, service }: DrillTarget, startedAt: string) {
  const endedAt = new Date().toISOString();
  return {
    startedAt,
    endedAt,
    backend,
    urls,
    service: service.name,
    concurrency: LOAD_CONCURRENCY,
  };
}

function judge(
  rounds: readonly RoundRecord[],
  failure: string | null,
  signal: AbortSignal,
): Pick<DrillReceipt, 'outcome' | 'reason'> {
  const lost = rounds.flatMap(({ samples }) => samples).filter((one) => one.lost !== undefined);
  const reason = failure ?? (lost.length === 0 ? null : `${lost.length} requests were lost`);
  if (signal.aborted) return { outcome: 'interrupted', reason };
  return { outcome: reason === null ? 'passed' : 'failed', reason };
}

class FailoverRound {
  readonly #target: DrillTarget;
  readonly #client: ControlClient;
  readonly #options: DrillOptions;
  readonly #load: SteadyLoad;
  readonly #times: { -readonly [Time in keyof DrillTimes]: DrillTimes[Time] } = {
    killedMs: undefined,
    resumedMs: undefined,
    readyMs: undefined,
    returnedMs: undefined,
  };
  #killed: readonly number[] = [];
  #resume: (() => void) | undefined;

  constructor(target: DrillTarget, client: ControlClient, options: DrillOptions) {
    this.#target = target;
    this.#client = client;
    this.#options = options;
    this.#load = new SteadyLoad({ router: target.router, model: target.backend });
  }

  get record(): RoundRecord {
    return {
      times: this.#times,
      killedProcesses: this.#killed,
      samples: this.#load.samples,
    };
  }

  /** Why it went wrong, or null. */
  async run(): Promise<string | null> {
    const load = this.#load;
    let reason: string | null = null;
    for (const part of [() => this.#phases(load), () => this.#bringBack(), () => load.stop()]) {
      try {
        await part();
      } catch (error) {
        reason ??= messageOf(error);
      }
    }
    return reason;
  }

  async #phases(load: SteadyLoad): Promise<void> {
    const { terminal } = this.#options;
    const { service } = this.#target;
    const good = (from: number | undefined, is: (sample: LoadSample) => boolean): number =>
      load.samples.filter(
        (one) => one.lost === undefined && one.startedMs >= (from ?? Infinity) && is(one),
      ).length;
    await terminal.step('load on the primary', async () => {
      const reached = (): boolean => good(0, isPrimary) >= PHASE_ANSWERS;
      await load.until(reached, this.#within(BASELINE_TIMEOUT_MS, 'answers of the primary'));
      return { value: undefined, detail: `${LOAD_CONCURRENCY} requests at a time` };
    });
    await terminal.step(`kill -9 ${service.name}`, async () => {
      await this.#kill();
      return { value: undefined, detail: `process ${this.#killed.join(', ')}` };
    });
    await terminal.step('answers of a fallback', async () => {
      const reached = (): boolean => good(this.#times.killedMs, isFallback) >= PHASE_ANSWERS;
      await load.until(reached, this.#within(OUTAGE_TIMEOUT_MS, 'answers of a fallback'));
      return { value: undefined };
    });
    await terminal.step(`restart of ${service.name}`, async () => {
      await this.#bringBack();
      return { value: undefined };
    });
    await terminal.step('answers of the primary again', async () => {
      const reached = (): boolean => good(this.#times.resumedMs, isPrimary) >= PHASE_ANSWERS;
      await load.until(reached, this.#within(RETURN_TIMEOUT_MS, 'the primary to answer again'));
      this.#times.returnedMs = firstEnd(load.samples, this.#times.resumedMs ?? 0);
      return { value: undefined };
    });
  }

  async #kill(): Promise<void> {
    const { service } = this.#target;
    this.#resume = await this.#client.pause(service.name);
    const { services } = await this.#client.status();
    const pids = services.find(({ name }) => name === service.name)?.pids ?? [];
    this.#times.killedMs = performance.now();
    this.#killed = pids.filter((pid) => killed(pid));
    if (this.#killed.length === 0) {
      throw new SanctumError('io', `${service.name} had no process to kill any more.`);
    }
  }

  /** Also what an interrupted drill does: the restarter gets its service back, and it runs again. */
  async #bringBack(): Promise<void> {
    if (this.#resume === undefined) return;
    this.#times.resumedMs = performance.now();
    this.#resume();
    this.#resume = undefined;
    const deadline = AbortSignal.timeout(RESTART_TIMEOUT_MS);
    while (!(await this.#isBack(deadline))) await wait(STATUS_POLL_MS);
    this.#times.readyMs = performance.now();
  }

  async #isBack(deadline: AbortSignal): Promise<boolean> {
    const { name } = this.#target.service;
    const { services } = await this.#client.status();
    const now = services.find((service) => service.name === name);
    if (now === undefined || now.state === 'failed' || deadline.aborted) {
      throw new SanctumError('io', `${name} did not come back: ${now?.reason ?? 'no answer'}.`);
    }
    return now.healthy && now.pid !== null && !this.#killed.includes(now.pid);
  }

  #within(timeoutMs: number, what: string): AbortSignal {
    const timeout = new AbortController();
    setTimeout(
      () =>
        timeout.abort(new SanctumError('io', `${timeoutMs / 1_000} s were too few for ${what}.`)),
      timeoutMs,
    ).unref();
    return AbortSignal.any([this.#options.signal, timeout.signal]);
  }
}

function isPrimary({ urlIndex }: LoadSample): boolean {
  return urlIndex === 0;
}

function isFallback({ urlIndex }: LoadSample): boolean {
  return urlIndex !== undefined && urlIndex > 0;
}

function firstEnd(samples: readonly LoadSample[], fromMs: number): number | undefined {
  const ends = samples
    .filter((one) => one.lost === undefined && one.startedMs >= fromMs && isPrimary(one))
    .map(({ endedMs }) => endedMs);
  return ends.length === 0 ? undefined : Math.min(...ends);
}

/** False when the process had ended by itself meanwhile. */
function killed(pid: number): boolean {
  try {
    process.kill(pid, 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}
