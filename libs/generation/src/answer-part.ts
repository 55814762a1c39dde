import type { Delta } from './events.js';
import type { Job } from './job.js';

/** What a step adds to one answer. */
export interface Part {
  readonly text: string;
  readonly reasoning: string;
  readonly tokens: readonly number[];
  readonly reports: NonNullable<Delta['logprobs']>;
}

export const EMPTY_PART: Part = { text: '', reasoning: '', tokens: [], reports: [] };

export function joinParts(first: Part, second: Part): Part {
  return {
    text: first.text + second.text,
    reasoning: first.reasoning + second.reasoning,
    tokens: [...first.tokens, ...second.tokens],
    reports: [...first.reports, ...second.reports],
  };
}

export function toDelta(job: Job, part: Part): Delta {
  const { text, reasoning, tokens, reports } = part;
  const withReports = job.request.options.logprobs !== undefined;
  return {
    ...{ id: job.id, text, tokens },
    ...(reasoning === '' ? {} : { reasoning }),
    ...(withReports ? { logprobs: reports } : {}),
  };
}
