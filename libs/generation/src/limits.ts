/** What a scheduler may hold at once. Each bound is enforced; none can be switched off. */
export interface SchedulerLimits {
  /** Requests waiting; one more is refused with `queue_full`. */
  readonly queuedMax: number;
  /** Requests that have caches. */
  readonly runningMax: number;
  /** Tokens of one step over all its requests: the unit of chunked prefill. */
  readonly stepTokensMax: number;
  /** Tokens of a prompt with its answer; the model's context when that is shorter. */
  readonly contextTokensMax: number;
  /** Bytes of the caches of all running requests. */
  readonly cacheBytesMax: number;
}

export const DEFAULT_SCHEDULER_LIMITS: SchedulerLimits = {
  queuedMax: 64,
  runningMax: 8,
  stepTokensMax: 256,
  contextTokensMax: 262_144,
  cacheBytesMax: 2 * 1024 ** 3,
};
