import type { AnswerFinding, AnswerKind } from './answer-inspector.js';
import type { AttemptOutcome, OutcomeClass } from './outcome.js';
import type { UrlStanding } from './url-order.js';

/** One decision of choice: which backends stand how, and which one is taken. */
export interface ChoiceRow {
  readonly when: string;
  readonly then: string;
  readonly model: string | undefined;
  readonly strict: boolean;
  /** Backends that cannot serve now. */
  readonly unavailable: readonly string[];
  /** The backend taken, among `council` (serves `padawan`), `coder` (`code-*`) and `cloud` (default). */
  readonly takes: 'council' | 'coder' | 'cloud' | 'nobody';
}

/** One decision about the URLs of a backend, before any is called. */
export interface OrderRow {
  readonly when: string;
  readonly then: string;
  readonly standings: readonly UrlStanding[];
  readonly order: readonly number[];
}

/** One decision about an attempt that ended. */
export interface AttemptRow {
  readonly when: string;
  readonly then: string;
  readonly outcome: AttemptOutcome;
  readonly counts: OutcomeClass;
  /** Before content: what the plan does. After content it is always `returned` or `broken`. */
  readonly before: 'next_url' | 'same_url' | 'waits' | 'exhausted' | 'returned';
  readonly after: 'returned' | 'broken';
}

/** One decision about an answer that arrived whole. */
export interface AnswerRow {
  readonly when: string;
  readonly then: string;
  readonly finding: AnswerFinding;
  readonly of: AnswerKind;
}

export const CHOICE_ROWS: readonly ChoiceRow[] = [
  {
    when: 'a name that a backend declares',
    then: 'that backend',
    ...{ model: 'padawan', strict: false, unavailable: [], takes: 'council' },
  },
  {
    when: 'a name that matches a pattern',
    then: 'the backend of the most specific pattern',
    ...{ model: 'code-7b', strict: false, unavailable: [], takes: 'coder' },
  },
  {
    when: 'no name, or `auto`',
    then: 'the backend of the first keyword in the last user message, else the default',
    ...{ model: 'auto', strict: false, unavailable: [], takes: 'coder' },
  },
  {
    when: 'a name that matches nothing',
    then: 'the default, and a header that says so',
    ...{ model: 'unheard-of', strict: false, unavailable: [], takes: 'cloud' },
  },
  {
    when: 'a name that matches nothing, with `strict_models`',
    then: '404',
    ...{ model: 'unheard-of', strict: true, unavailable: [], takes: 'nobody' },
  },
  {
    when: 'the backend has every breaker open, or spent its budget',
    then: 'passed over, down to the default',
    ...{ model: 'padawan', strict: true, unavailable: ['council'], takes: 'cloud' },
  },
  {
    when: 'the default cannot serve either',
    then: 'the default all the same: 503 `breaker_open` or 429 `budget_spent` with Retry-After',
    ...{ model: 'padawan', strict: false, unavailable: ['council', 'cloud'], takes: 'cloud' },
  },
];

export const ORDER_ROWS: readonly OrderRow[] = [
  {
    when: 'every URL is usable',
    then: 'in declared order, whoever answered last time',
    ...{ standings: ['usable', 'usable', 'usable'], order: [0, 1, 2] },
  },
  {
    when: 'a breaker is open',
    then: 'left out, until one probe is due',
    ...{ standings: ['open', 'usable', 'usable'], order: [1, 2] },
  },
  {
    when: 'a URL cools down after a 429 or 408',
    then: 'behind the others',
    ...{ standings: ['cooling', 'usable'], order: [1, 0] },
  },
  {
    when: 'every breaker is open, and some because connections were refused or answers were garbage',
    then: 'those are tried: a restarted target is found at once, and garbage is more than nothing',
    ...{ standings: ['open', 'last_resort'], order: [1] },
  },
  {
    when: 'every breaker is open for other reasons',
    then: '503 `breaker_open`, nobody is asked',
    ...{ standings: ['open', 'open'], order: [] },
  },
];

/** What the plan does, by the first word of the sentence that says so. */
const BEFORE: Readonly<Record<string, AttemptRow['before']>> = {
  same: 'same_url',
  next: 'next_url',
  waits: 'waits',
  nobody: 'exhausted',
};

export const ATTEMPT_ROWS: readonly AttemptRow[] = [
  attempt('a good answer', 'it is the answer', answered(200), 'success'),
  attempt('no connection, or no TLS session', 'next URL', { kind: 'connect_failure' }),
  attempt(
    'connection refused or reset by the only URL, which was well before',
    'waits, and calls it again every 100 ms up to its connect timeout; also while it says `loading`',
    { kind: 'connect_failure', isRefused: true },
  ),
  attempt('the connection breaks', 'next URL', { kind: 'transport' }),
  attempt(
    'a kept-alive connection was closed, nothing seen',
    'same URL, once; then the next',
    { kind: 'stale_connection' },
    'neutral',
  ),
  attempt('nothing in time', 'next URL', { kind: 'stall' }),
  attempt(
    'a plain answer still coming in when `total_s` is over',
    'nobody else is asked: 504, or the error answer there was before',
    { kind: 'deadline' },
    'neutral',
  ),
  attempt('200, and then an error event', 'next URL', { kind: 'stream_error' }),
  attempt('5xx', 'next URL; the same from two URLs is the request’s fault', answered(500)),
  attempt('529', 'next URL', answered(529)),
  attempt(
    '503 with the code `loading`',
    'next URL',
    { kind: 'answered', status: 503, errorCode: 'loading' },
    'neutral',
  ),
  attempt('429', 'next URL; this one cools down', answered(429), 'neutral'),
  attempt('408', 'next URL; this one cools down', answered(408), 'neutral'),
  attempt('401 or 403', 'it is the answer', answered(401), 'neutral'),
  attempt('any other 4xx', 'it is the answer', answered(404), 'request_fault'),
];

export const ANSWER_ROWS: readonly AnswerRow[] = [
  answer('no visible content', 'broken: one strike', 'empty_content'),
  answer('one unit again and again', 'broken: one strike', 'pure_repetition'),
  answer('`<think>` in the text', 'suspicious: counted', 'think_tag_leak'),
  answer('cut off after next to nothing', 'suspicious: counted', 'truncated_tiny'),
  answer(
    'no visible content, of `/v1/completions`',
    'suspicious: counted',
    ...(['empty_content', 'continuation'] as const),
  ),
  answer(
    'one unit again and again, of `/v1/completions`',
    'suspicious: counted',
    ...(['pure_repetition', 'continuation'] as const),
  ),
];

function answer(
  when: string,
  then: string,
  ...[finding, of = 'conversation']: [AnswerFinding, AnswerKind?]
): AnswerRow {
  return { when, then, finding, of };
}

function answered(status: number): AttemptOutcome {
  return { kind: 'answered', status };
}

function attempt(
  when: string,
  then: string,
  ...[outcome, counts = 'target_fault']: [AttemptOutcome, OutcomeClass?]
): AttemptRow {
  return {
    when,
    then,
    outcome,
    counts,
    before: BEFORE[then.split(/[ ,]/, 1)[0] ?? ''] ?? 'returned',
    after: outcome.kind === 'answered' ? 'returned' : 'broken',
  };
}

/** The diagram of the documentation; every arrow of the failover plan, and no other. */
export const DECISION_DIAGRAM = `request
   │  choice: exact name, pattern, keyword, default
   ▼
backend ── every URL open, or budget spent ────────────► 503 or 429, nobody is asked
   │  order: usable URLs, then those that cool down
   ▼
trying ─┬─ no connection, broken, silent, 5xx, 429, 408 ► trying (the next URL)
        ├─ a kept-alive connection was closed ─────────► trying (the same URL, once)
        ├─ the only URL refuses the connection ────────► waiting ► trying (the same URL)
        ├─ no URL left, or no time ────────────────────► exhausted
        ├─ any other answer ───────────────────────────► returned
        └─ first content ──► streaming ─┬─ whole ──────► returned
                                        └─ broken off ─► broken`;

/** The table of the documentation, as Markdown. */
export function renderDecisionTable(): string {
  const rows = [
    ...CHOICE_ROWS.map(({ when, then }) => ['choice', when, then, '']),
    ...ORDER_ROWS.map(({ when, then }) => ['order', when, then, '']),
    ...ATTEMPT_ROWS.map(({ when, then, counts }) => ['before content', when, then, counts]),
    ['after content', 'the stream ends whole', 'it was the answer', 'success'],
    [
      'after content',
      'the stream breaks off, or goes silent',
      'one error event without `[DONE]`; nothing is sent again, and never once a tool call began',
      'target_fault',
    ],
    [
      'after content',
      'the stream is still coming when `total_s` is over',
      'one error event that says so, without `[DONE]`; nothing is sent again',
      'neutral',
    ],
    ...ANSWER_ROWS.map(({ when, then, finding }) => ['whole answer', when, then, `\`${finding}\``]),
  ];
  const lines = rows.map((cells) => `| ${cells.join(' | ')} |`);
  return ['| point | when | then | counts as |', '| --- | --- | --- | --- |', ...lines].join('\n');
}
