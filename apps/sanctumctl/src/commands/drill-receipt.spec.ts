import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { homePaths } from '@sanctum/catalog';
import type { LoadSample } from './drill-load.js';
import {
  receiptOf,
  renderReceipt,
  writeReceipt,
  type ReceiptHead,
  type RoundRecord,
} from './drill-receipt.js';

const HEAD: ReceiptHead = {
  outcome: 'passed',
  reason: null,
  startedAt: '2026-11-21T08:25:23.356Z',
  endedAt: '2026-11-21T08:25:56.197Z',
  backend: 'council-secure',
  urls: ['https://127.0.0.1:1338/v1', 'http://127.0.0.1:8901/v1'],
  service: 'engine',
  concurrency: 4,
};
const KILLED = [11, 12];
const TIMES = { killedMs: 100, resumedMs: 200, readyMs: 260, returnedMs: 290 };
const NEVER = {
  killedMs: undefined,
  resumedMs: undefined,
  readyMs: undefined,
  returnedMs: undefined,
};

function sample(startedMs: number, endedMs: number, urlIndex: number): LoadSample {
  return { startedMs, endedMs, urlIndex, lost: undefined };
}

describe('the receipt of a drill', () => {
  const samples = [
    sample(10, 20, 0),
    sample(90, 140, 1),
    sample(101, 131, 1),
    { startedMs: 102, endedMs: 110, urlIndex: undefined, lost: 'HTTP 502' },
    sample(150, 170, 1),
    sample(210, 230, 1),
    sample(270, 290, 0),
  ];

  const record: RoundRecord = { times: TIMES, killedProcesses: KILLED, samples };

  it('counts from the kill, and by when requests began', () => {
    const receipt = receiptOf(HEAD, [record]);
    expect(receipt).toMatchObject({ requests: 7, lost: 1, lostReasons: ['HTTP 502'] });
    expect(receipt.rounds).toMatchObject([
      {
        killedProcesses: KILLED,
        // Begun at 90, answered at 140, where 10 ms are usual.
        firstFailedOverAddedMs: 40,
        firstFallbackAnswerMs: 31,
        firstRequestAfterKillMs: 31,
        restartMs: 60,
        returnMs: 90,
        phases: {
          before: { requests: 2, lost: 0, byUrl: { 0: 1, 1: 1 }, worstMs: 50 },
          outage: { requests: 3, lost: 1, byUrl: { 1: 2, none: 1 }, p50Ms: 30, worstMs: 30 },
          after: { requests: 2, lost: 0, byUrl: { 0: 1, 1: 1 }, p50Ms: 20 },
        },
      },
    ]);
  });

  it('takes medians over the rounds in which something happened', () => {
    const returning = (returnedMs: number | undefined): RoundRecord => ({
      ...record,
      times: { ...TIMES, returnedMs },
    });
    const rounds = [returning(500), returning(210), returning(300), returning(undefined)];
    const receipt = receiptOf(HEAD, rounds);
    expect(receipt).toMatchObject({ requests: 28, lost: 4 });
    expect(receipt.medians).toMatchObject({ firstFailedOverAddedMs: 40, returnMs: 100 });
  });

  it('says never of what did not happen', () => {
    const none = { times: NEVER, killedProcesses: [], samples: samples.slice(0, 1) };
    const receipt = receiptOf({ ...HEAD, outcome: 'interrupted' }, [none]);
    const times = { firstFailedOverAddedMs: null, restartMs: null, returnMs: null };
    expect(receipt).toMatchObject({ medians: times, rounds: [times] });
    expect(receipt.rounds[0]?.phases.outage).toEqual({
      requests: 0,
      lost: 0,
      byUrl: {},
      p50Ms: null,
      worstMs: null,
    });
    expect(renderReceipt(receipt)).toContain('until the primary answered again: never');
  });

  it('is written for programs and for people, under one name', () => {
    const home = mkdtempSync(join(tmpdir(), 'sanctum-drill-'));
    const receipt = receiptOf(HEAD, [record, record]);
    const page = writeReceipt(homePaths(home), receipt);
    expect(page).toBe(join(home, 'state/drills/failover-2026-11-21T08-25-23-356Z.md'));
    expect(JSON.parse(readFileSync(page.replace(/md$/, 'json'), 'utf8'))).toEqual(receipt);
    const text = readFileSync(page, 'utf8');
    expect(text).toContain('| outage | 3 | 1 | 1: 2, none: 1 | 30 ms | 30 ms |');
    expect(text).toContain('medians of 2 rounds');
    expect(text).toContain('- added to the first request that was failed over: 40 ms');
    rmSync(home, { recursive: true });
  });
});
