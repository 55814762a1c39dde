import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic, type HomePaths } from '@sanctum/catalog';
import type { LoadSample } from './drill-load.js';

export type DrillOutcome = 'passed' | 'failed' | 'interrupted';

/** What happened when, in milliseconds of `performance.now()`; undefined for what did not happen. */
export interface DrillTimes {
  readonly killedMs: number | undefined;
  readonly resumedMs: number | undefined;
  readonly readyMs: number | undefined;
  readonly returnedMs: number | undefined;
}

/** One part of a drill, by when its requests began. */
export interface PhaseNumbers {
  readonly requests: number;
  readonly lost: number;
  readonly byUrl: Readonly<Record<string, number>>;
  /** Of the good ones. */
  readonly p50Ms: number | null;
  readonly worstMs: number | null;
}

/** The primary was killed once and came back once. */
export interface RoundNumbers {
  readonly killedProcesses: readonly number[];
  readonly requests: number;
  readonly lost: number;
  /**
   * What the first request that was failed over took beyond the usual p50, the time that the primary
   * had spent on it when it died included.
   */
  readonly firstFailedOverAddedMs: number | null;
  /** From the kill to the first good answer of another URL. */
  readonly firstFallbackAnswerMs: number | null;
  /** From the kill to the end of the first request that began after it. */
  readonly firstRequestAfterKillMs: number | null;
  /** From the end of the pause until the service was ready, and until the primary answered again. */
  readonly restartMs: number | null;
  readonly returnMs: number | null;
  readonly phases: Readonly<Record<'before' | 'outage' | 'after', PhaseNumbers>>;
}

export interface DrillReceipt {
  readonly version: 2;
  readonly drill: 'failover';
  readonly outcome: DrillOutcome;
  /** Why it did not pass. */
  readonly reason: string | null;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly backend: string;
  readonly urls: readonly string[];
  readonly service: string;
  readonly concurrency: number;
  readonly requests: number;
  readonly lost: number;
  /** Distinct reasons of the lost ones. */
  readonly lostReasons: readonly string[];
  /** Medians over the rounds in which it happened. */
  readonly medians: Readonly<Record<Measure, number | null>>;
  readonly rounds: readonly RoundNumbers[];
}

type Measure = keyof typeof MEASURES;

/** Times of a round, as the receipt names them. */
const MEASURES = {
  firstFailedOverAddedMs: 'added to the first request that was failed over',
  firstFallbackAnswerMs: 'first answer of a fallback',
  firstRequestAfterKillMs: 'first request after the kill',
  restartMs: 'restart of the primary',
  returnMs: 'until the primary answered again',
} as const;
const MEASURE_NAMES = Object.keys(MEASURES) as readonly Measure[];

/** What one round saw. */
export interface RoundRecord {
  readonly times: DrillTimes;
  readonly killedProcesses: readonly number[];
  readonly samples: readonly LoadSample[];
}

export type ReceiptHead = Pick<
  DrillReceipt,
  'outcome' | 'reason' | 'startedAt' | 'endedAt' | 'backend' | 'urls' | 'service' | 'concurrency'
>;

/** The numbers of a drill, from what its load saw. */
export function receiptOf(head: ReceiptHead, records: readonly RoundRecord[]): DrillReceipt {
  const rounds = records.map(roundOf);
  const lost = records.flatMap(({ samples }) => samples).filter((one) => !isGood(one));
  const median = (measure: Measure): number | null => {
    const values = rounds.map((round) => round[measure]).filter((value) => value !== null);
    return rounded(middleOf(values));
  };
  return {
    version: 2,
    drill: 'failover',
    ...head,
    requests: rounds.reduce((sum, { requests }) => sum + requests, 0),
    lost: lost.length,
    lostReasons: [...new Set(lost.map((one) => one.lost ?? ''))],
    medians: {
      firstFailedOverAddedMs: median('firstFailedOverAddedMs'),
      firstFallbackAnswerMs: median('firstFallbackAnswerMs'),
      firstRequestAfterKillMs: median('firstRequestAfterKillMs'),
      restartMs: median('restartMs'),
      returnMs: median('returnMs'),
    },
    rounds,
  };
}

function roundOf({ times, killedProcesses, samples }: RoundRecord): RoundNumbers {
  const { killedMs = Infinity, resumedMs = Infinity } = times;
  const fromFallback = samples.filter(
    (one) => isGood(one) && (one.urlIndex ?? 0) > 0 && one.endedMs >= killedMs,
  );
  const afterKill = samples.filter((one) => isGood(one) && one.startedMs >= killedMs);
  return {
    killedProcesses,
    requests: samples.length,
    lost: samples.filter((one) => !isGood(one)).length,
    firstFailedOverAddedMs: addedToFirst(fromFallback, samples, killedMs),
    firstFallbackAnswerMs: sinceOrNull(earliestEnd(fromFallback), killedMs),
    firstRequestAfterKillMs: sinceOrNull(earliestEnd(afterKill), killedMs),
    restartMs: sinceOrNull(times.readyMs, resumedMs),
    returnMs: sinceOrNull(times.returnedMs, resumedMs),
    phases: {
      before: numbersOf(samples.filter(({ startedMs }) => startedMs < killedMs)),
      outage: numbersOf(
        samples.filter(({ startedMs }) => startedMs >= killedMs && startedMs < resumedMs),
      ),
      after: numbersOf(samples.filter(({ startedMs }) => startedMs >= resumedMs)),
    },
  };
}

function addedToFirst(
  fromFallback: readonly LoadSample[],
  samples: readonly LoadSample[],
  killedMs: number,
): number | null {
  const first = fromFallback.toSorted((a, b) => a.startedMs - b.startedMs)[0];
  const usual = middleOf(
    samples.filter((one) => isGood(one) && one.endedMs < killedMs).map(durationMs),
  );
  if (first === undefined || usual === undefined) return null;
  return rounded(durationMs(first) - usual);
}

function isGood({ lost }: LoadSample): boolean {
  return lost === undefined;
}

function durationMs({ startedMs, endedMs }: LoadSample): number {
  return endedMs - startedMs;
}

/** The upper one of two. */
function middleOf(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

function numbersOf(samples: readonly LoadSample[]): PhaseNumbers {
  const good = samples.filter(isGood);
  const waits = good.map(durationMs);
  const byUrl: Record<string, number> = {};
  for (const { urlIndex = 'none' } of samples) byUrl[urlIndex] = (byUrl[urlIndex] ?? 0) + 1;
  return {
    requests: samples.length,
    lost: samples.length - good.length,
    byUrl,
    p50Ms: rounded(middleOf(waits)),
    worstMs: rounded(waits.length === 0 ? undefined : Math.max(...waits)),
  };
}

function earliestEnd(samples: readonly LoadSample[]): number | undefined {
  return samples.length === 0 ? undefined : Math.min(...samples.map(({ endedMs }) => endedMs));
}

function sinceOrNull(atMs: number | undefined, fromMs: number): number | null {
  return atMs === undefined || !Number.isFinite(fromMs) ? null : rounded(atMs - fromMs);
}

function rounded(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.round(ms * 10) / 10;
}

/** Writes `state/drills/failover-<time>.{json,md}`; returns the path of the latter. */
export function writeReceipt(paths: HomePaths, receipt: DrillReceipt): string {
  const folder = join(paths.state, 'drills');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const name = join(folder, `failover-${receipt.startedAt.replaceAll(/[:.]/g, '-')}`);
  writeFileAtomic(`${name}.json`, `${JSON.stringify(receipt, null, 2)}\n`);
  writeFileAtomic(`${name}.md`, renderReceipt(receipt));
  return `${name}.md`;
}

/** The receipt for people. */
export function renderReceipt(receipt: DrillReceipt): string {
  const { rounds, medians } = receipt;
  const facts: readonly (readonly [string, string])[] = [
    ['outcome', receipt.outcome + (receipt.reason === null ? '' : `: ${receipt.reason}`)],
    ['began, ended', `${receipt.startedAt}, ${receipt.endedAt}`],
    ['backend', receipt.backend],
    ['URLs, primary first', receipt.urls.join(', ')],
    ['killed', receipt.service],
    ['requests, lost', `${receipt.requests}, ${receipt.lost} ${receipt.lostReasons.join('; ')}`],
    ...MEASURE_NAMES.map((name) => [MEASURES[name], milliseconds(medians[name])] as const),
  ];
  return [
    '# Failover drill',
    '',
    ...facts.map(([name, value]) => `- ${name}: ${value.trim()}`),
    '',
    `Load: ${receipt.concurrency} requests at a time. Times are medians of ${rounds.length} rounds.`,
    '',
    ...rounds.flatMap((round, at) => renderRound(round, at + 1)),
  ].join('\n');
}

function renderRound(round: RoundNumbers, number: number): string[] {
  const rows = Object.entries(round.phases).map(([name, phase]) => {
    const urls = Object.entries(phase.byUrl).map(([url, count]) => `${url}: ${count}`);
    const waits = [phase.p50Ms, phase.worstMs].map(milliseconds).join(' | ');
    return `| ${name} | ${phase.requests} | ${phase.lost} | ${urls.join(', ')} | ${waits} |`;
  });
  return [
    `## Round ${number}`,
    '',
    `- killed: process ${round.killedProcesses.join(', ') || 'none'}`,
    ...MEASURE_NAMES.map((name) => `- ${MEASURES[name]}: ${milliseconds(round[name])}`),
    '',
    '| phase | requests | lost | answers by URL | p50 | worst |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ];
}

function milliseconds(value: number | null): string {
  return value === null ? 'never' : `${value} ms`;
}
