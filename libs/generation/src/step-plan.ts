import type { Job } from './job.js';

/** How many of a job's pending tokens a step takes in. */
export interface PlannedSpan {
  readonly job: Job;
  readonly count: number;
  /** The span ends with the job's last token, so that the next one can be drawn. */
  readonly draws: boolean;
}

/**
 * One step's work: every answer's next token first, so that long prompts never hold answers up; the
 * rest of the budget goes to prompts in equal shares, what one leaves passing on to the next.
 */
export function planStep(jobs: readonly Job[], stepTokensMax: number): PlannedSpan[] {
  const decoding = jobs.filter((job) => job.pending === 1).slice(0, stepTokensMax);
  const prefilling = jobs.filter((job) => job.pending > 1);
  const plan = decoding.map((job) => ({ job, count: 1, draws: true }));
  let left = stepTokensMax - decoding.length;
  for (const [index, job] of prefilling.entries()) {
    const share = Math.ceil(left / (prefilling.length - index));
    const count = Math.min(job.pending, share);
    if (count === 0) break;
    plan.push({ job, count, draws: count === job.pending });
    left -= count;
  }
  return plan;
}
