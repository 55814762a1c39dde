import type { CacheBudget } from './cache-budget.js';
import { FairQueue } from './fair-queue.js';
import type { Job } from './job.js';
import type { PlannedSpan } from './step-plan.js';

/**
 * Who waits, who runs, and who gave up its caches and waits to run again. Seniority is the order of
 * admission: memory always goes to the oldest, so that it ends and the next can.
 */
export class Roster {
  readonly #budget: CacheBudget;
  readonly #runningMax: number;
  readonly #queue = new FairQueue<Job>();
  /** Oldest first. */
  readonly #running: Job[] = [];
  /** Oldest first; these go on before anything queued. */
  readonly #suspended: Job[] = [];
  #preemptions = 0;
  /** Memory was short: nobody is admitted before somebody leaves, or two would displace in turns. */
  #isShort = false;

  constructor(budget: CacheBudget, runningMax: number) {
    this.#budget = budget;
    this.#runningMax = runningMax;
  }

  get running(): readonly Job[] {
    return this.#running;
  }

  get queued(): number {
    return this.#queue.size;
  }

  get suspended(): number {
    return this.#suspended.length;
  }

  get preemptions(): number {
    return this.#preemptions;
  }

  enqueue(job: Job): void {
    this.#queue.push(job);
  }

  /** The next that may run, its memory reserved; undefined while there is no place or memory. */
  admitNext(): Job | undefined {
    if (this.#running.length >= this.#runningMax) return undefined;
    if (this.#isShort && this.#running.length > 0) return undefined;
    const job = this.#suspended[0] ?? this.#queue.peek();
    // The next in turn waits for memory rather than let smaller ones pass it forever.
    if (job === undefined || !this.#budget.tryReserve(job, job.length + 1)) return undefined;
    if (this.#suspended[0] === job) this.#suspended.shift();
    else this.#queue.shift();
    this.#running.push(job);
    return job;
  }

  /** The part of a plan that has memory, after younger jobs gave theirs to older ones. */
  reserve(plan: readonly PlannedSpan[]): PlannedSpan[] {
    const oldestFirst = plan.toSorted(
      (a, b) => this.#running.indexOf(a.job) - this.#running.indexOf(b.job),
    );
    for (const { job } of oldestFirst) {
      while (job.sequence !== undefined && !this.#budget.tryReserve(job, job.length + 1)) {
        this.suspendYoungest();
      }
    }
    return oldestFirst.filter(({ job }) => job.sequence !== undefined);
  }

  /** Takes the caches of the youngest running job; it keeps its tokens and its seniority. */
  suspendYoungest(): void {
    const job = this.#running.pop();
    if (job === undefined) return;
    job.suspend();
    this.#budget.release(job);
    this.#suspended.unshift(job);
    this.#preemptions += 1;
    this.#isShort = true;
  }

  /** Forgets a job, wherever it is, and gives its caches back. */
  remove(job: Job): void {
    job.suspend();
    this.#budget.release(job);
    if (this.#queue.remove(job)) return;
    this.#isShort = false;
    for (const list of [this.#running, this.#suspended]) {
      const at = list.indexOf(job);
      if (at !== -1) list.splice(at, 1);
    }
  }
}
