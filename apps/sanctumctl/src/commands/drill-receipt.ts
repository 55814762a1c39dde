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

export interface DrillReceipt {
  readonly version: 1;
  readonly drill: 'failover';
  readonly outcome: DrillOutcome;
  /** Why it did not pass. */
  readonly reason: string | null;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly backend: string;
  readonly urls: readonly string[];
  readonly service: string;
  readonly killedProcesses: readonly number[];
  readonly concurrency: number;
  readonly requests: number;
  readonly lost: number;
  /** Distinct reasons of the lost ones. */
  readonly lostReasons: readonly string[];
  /** From the kill to the first good answer of another URL. */
  readonly firstFallbackAnswerMs: number | null;
  /** From the kill to the end of the first request that began after it. */
  readonly firstRequestAfterKillMs: number | null;
  /** From the end of the pause until the service was ready, and until the primary answered again. */
  readonly restartMs: number | null;
  readonly returnMs: number | null;
  readonly phases: Readonly<Record<'before' | 'outage' | 'after', PhaseNumbers>>;
}

export type ReceiptHead = Pick<
  DrillReceipt,
  | 'outcome'
  | 'reason'
  | 'startedAt'
  | 'endedAt'
  | 'backend'
  | 'urls'
  | 'service'
  | 'killedProcesses'
  | 'concurrency'
>;

/** The numbers of a drill, from what its load saw. */
export function receiptOf(
  head: ReceiptHead,
  times: DrillTimes,
  samples: readonly LoadSample[],
): DrillReceipt {
  const { killedMs = Infinity, resumedMs = Infinity } = times;
  const isGood = ({ lost }: LoadSample): boolean => lost === undefined;
  const fromFallback = samples.filter(
    (one) => isGood(one) && (one.urlIndex ?? 0) > 0 && one.endedMs >= killedMs,
  );
  const afterKill = samples.filter((one) => isGood(one) && one.startedMs >= killedMs);
  const lost = samples.filter((one) => !isGood(one));
  return {
    version: 1,
    drill: 'failover',
    ...head,
    requests: samples.length,
    lost: lost.length,
    lostReasons: [...new Set(lost.map((one) => one.lost ?? ''))],
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

function numbersOf(samples: readonly LoadSample[]): PhaseNumbers {
  const good = samples.filter(({ lost }) => lost === undefined);
  const waits = good.map(({ startedMs, endedMs }) => endedMs - startedMs).sort((a, b) => a - b);
  const byUrl: Record<string, number> = {};
  for (const { urlIndex = 'none' } of samples) byUrl[urlIndex] = (byUrl[urlIndex] ?? 0) + 1;
  return {
    requests: samples.length,
    lost: samples.length - good.length,
    byUrl,
    p50Ms: rounded(waits[Math.floor(waits.length / 2)]),
    worstMs: rounded(waits.at(-1)),
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
  const facts: readonly (readonly [string, string])[] = [
    ['outcome', receipt.outcome + (receipt.reason === null ? '' : `: ${receipt.reason}`)],
    ['began, ended', `${receipt.startedAt}, ${receipt.endedAt}`],
    ['backend', receipt.backend],
    ['URLs, primary first', receipt.urls.join(', ')],
    ['killed', `${receipt.service} (process ${receipt.killedProcesses.join(', ') || 'none'})`],
    ['requests, lost', `${receipt.requests}, ${receipt.lost} ${receipt.lostReasons.join('; ')}`],
    ['first answer of a fallback', milliseconds(receipt.firstFallbackAnswerMs)],
    ['first request after the kill', milliseconds(receipt.firstRequestAfterKillMs)],
    ['restart of the primary', milliseconds(receipt.restartMs)],
    ['until the primary answered again', milliseconds(receipt.returnMs)],
  ];
  const rows = Object.entries(receipt.phases).map(([name, phase]) => {
    const urls = Object.entries(phase.byUrl).map(([url, count]) => `${url}: ${count}`);
    const waits = [phase.p50Ms, phase.worstMs].map(milliseconds).join(' | ');
    return `| ${name} | ${phase.requests} | ${phase.lost} | ${urls.join(', ')} | ${waits} |`;
  });
  return [
    '# Failover drill',
    '',
    ...facts.map(([name, value]) => `- ${name}: ${value.trim()}`),
    '',
    `Load: ${receipt.concurrency} requests at a time.`,
    '',
    '| phase | requests | lost | answers by URL | p50 | worst |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

function milliseconds(value: number | null): string {
  return value === null ? 'never' : `${value} ms`;
}
