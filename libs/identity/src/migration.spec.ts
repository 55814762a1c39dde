import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { migrationReport } from './migration.js';
import { IDENTITIES_MAX, readTransportRecord, TransportCounts } from './transport-counts.js';

let folder: string;
let file: string;
let clock: Date;
let opened: TransportCounts[] = [];
const problems: string[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sanctum-transport-'));
  file = join(folder, 'transport', 'engine.json');
  clock = new Date('2026-03-01T12:00:00Z');
  problems.length = 0;
});
afterEach(async () => {
  // What still waits to be written would be missed, and complained of, in a later test.
  for (const counts of opened) await counts.close();
  opened = [];
  rmSync(folder, { recursive: true });
});

const open = async () => {
  const onProblem = (reason: string) => problems.push(reason);
  const counts = await TransportCounts.open({ file, now: () => clock, onProblem });
  opened.push(counts);
  return counts;
};
const passDays = (days: number): void => {
  clock = new Date(clock.getTime() + days * 86_400_000);
};
const report = async () => {
  const record = await readTransportRecord(file);
  return migrationReport(record === undefined ? {} : { engine: record }, clock);
};

describe('counts of transports', () => {
  it('outlive the process, by day and identity', async () => {
    const first = await open();
    first.count({ transport: 'mtls', identity: 'sanctum-server' });
    first.count({ transport: 'mtls', identity: 'sanctum-server' });
    await first.close();
    passDays(1);
    const second = await open();
    second.count({ transport: 'mtls', identity: 'sanctum-server' });
    second.count({ transport: 'plain-loopback', identity: '' });
    const { rows } = await report();
    expect(rows).toEqual([
      expect.objectContaining({ identity: 'sanctum-server', count: 3, last: '2026-03-02' }),
      expect.objectContaining({ transport: 'plain-loopback', count: 1 }),
    ]);
    expect((await readTransportRecord(file))?.since).toBe('2026-03-01T12:00:00.000Z');
  });

  it('have the first hit of a kind on disk at once', async () => {
    const counts = await open();
    counts.count({ transport: 'bearer', identity: '' });
    expect(readFileSync(file, 'utf8')).toContain('"bearer"');
  });

  it('stay small, whoever knocks and however long', async () => {
    const counts = await open();
    for (let day = 0; day < 20; day += 1) {
      counts.count({ transport: 'mtls', identity: 'drift' });
      passDays(1);
    }
    for (let nth = 0; nth < IDENTITIES_MAX + 5; nth += 1) {
      counts.count({ transport: 'mtls', identity: `identity-${nth}` });
    }
    const record = await readTransportRecord(file);
    expect(Object.keys(record?.days ?? {})).toHaveLength(8);
    const hits = Object.values(record?.days ?? {}).at(-1) ?? [];
    expect(hits.length).toBe(IDENTITIES_MAX + 1);
    expect(hits.at(-1)).toMatchObject({ identity: 'others' });
  });

  it('begin anew, and say so, when the file is no record', async () => {
    await open();
    writeFileSync(file, '{"since":"yesterday"}');
    const counts = await open();
    expect(problems).toHaveLength(1);
    counts.count({ transport: 'mtls', identity: 'drift' });
    expect((await report()).rows).toHaveLength(1);
  });
});

describe('the bearer token', () => {
  it('stays where nothing has counted', async () => {
    expect((await report()).bearer).toEqual({
      ...{ retire: false, reason: 'no service has counted yet', notBefore: '2026-03-08' },
    });
  });

  it('stays until it was watched for seven days', async () => {
    await open();
    passDays(6.9);
    expect((await report()).bearer).toEqual({
      ...{ retire: false, reason: 'counted only since 2026-03-01', notBefore: '2026-03-08' },
    });
    passDays(0.1);
    expect((await report()).bearer).toEqual({ retire: true });
  });

  it.each(['bearer', 'open'] as const)('stays for seven days after a %s hit', async (transport) => {
    const counts = await open();
    passDays(10);
    expect((await report()).bearer).toEqual({ retire: true });
    counts.count({ transport, identity: '' });
    expect((await report()).bearer).toEqual({
      ...{ retire: false, reason: 'last used on 2026-03-11 (engine)', notBefore: '2026-03-19' },
    });
    passDays(7);
    expect((await report()).bearer.retire).toBe(false);
    passDays(1);
    expect((await report()).bearer).toEqual({ retire: true });
  });
});
