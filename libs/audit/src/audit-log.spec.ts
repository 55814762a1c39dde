import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { GENESIS, hashLine, LINE_BYTES_MAX, type AuditLine } from './audit-line.js';
import { AuditLog } from './audit-log.js';
import type { AuditOptions, AuditTrouble } from './audit-options.js';
import { readLines } from './read-chain.js';
import { listSegments } from './segments.js';
import { verifyChains, type ChainReport } from './verify-chain.js';

let root: string;
let dir: string;
let opened: AuditLog[] = [];
let troubles: AuditTrouble[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sanctum-audit-'));
  dir = join(root, 'engine');
  troubles = [];
});

afterEach(async () => {
  await Promise.all(opened.map((log) => log.close()));
  opened = [];
  rmSync(root, { recursive: true, force: true });
});

async function open(change: Partial<AuditOptions> = {}): Promise<AuditLog> {
  const onTrouble = (trouble: AuditTrouble) => troubles.push(trouble);
  const log = await AuditLog.open({ dir, onTrouble, ...change });
  opened.push(log);
  return log;
}

async function verified(): Promise<ChainReport> {
  const [report] = await verifyChains(root, ['engine']);
  if (report === undefined) throw new Error('no report');
  return report;
}

async function lines(): Promise<AuditLine[]> {
  const found: AuditLine[] = [];
  for await (const line of readLines(dir)) found.push(line);
  return found;
}

const segment = (index = -1): string => listSegments(dir).at(index)?.path ?? '';

describe('AuditLog', () => {
  it('chains each line to the bytes of the one before', async () => {
    const log = await open({ now: () => Date.UTC(2027, 0, 1) });
    await log.decide('model_served', { digest: 'd' });
    log.note('request', { backend: 'coder', tokens: 3 });
    log.note('request', { backend: 'coder', tokens: 4 });
    await log.settled();
    const texts = readFileSync(segment(), 'utf8').trimEnd().split('\n');
    expect(texts[0]).toBe(
      `{"seq":1,"prev":"${GENESIS}","at":"2027-01-01T00:00:00.000Z","event":"model_served","data":{"digest":"d"}}`,
    );
    expect((await lines()).map(({ prev }) => prev)).toEqual([
      GENESIS,
      hashLine(texts[0] ?? ''),
      hashLine(texts[1] ?? ''),
    ]);
    expect(log.head).toEqual({ seq: 3, hash: hashLine(texts[2] ?? '') });
    expect(statSync(segment()).mode & 0o777).toBe(0o600);
    expect(await verified()).toMatchObject({ lines: 3, broken: undefined, tornBytes: 0 });
  });

  it('goes on where it was closed', async () => {
    const first = await open();
    await first.decide('a', {});
    first.note('b', {});
    await first.close();
    const second = await open();
    expect((await second.decide('c', {})).seq).toBe(3);
    expect(await verified()).toMatchObject({ lines: 3, broken: undefined });
  });

  it('has a decision on the disk when it resolves, without waiting for the group', async () => {
    const log = await open({ groupMs: 3_600_000 });
    log.note('request', {});
    await log.decide('model_served', {});
    expect(await lines()).toHaveLength(2);
  });

  it('holds no secret and no prompt', async () => {
    const log = await open();
    await log.decide('a', {
      authorization: 'Bearer hunter2',
      url: 'https://me:hunter2@host/',
      messages: [{ content: 'hunter2' }],
      reason: 'sent Bearer hunter2',
    });
    expect(readFileSync(segment(), 'utf8')).not.toContain('hunter2');
  });

  it('replaces a record that is too long by its size', async () => {
    const log = await open();
    await log.decide('a', { text: 'ü'.repeat(LINE_BYTES_MAX) });
    const [line] = await lines();
    expect(line?.data['left_out_bytes']).toBeGreaterThan(2 * LINE_BYTES_MAX);
    expect(await verified()).toMatchObject({ broken: undefined });
  });

  it('starts a new segment when one is full, and the chain goes on', async () => {
    const log = await open({ segmentBytesMax: 1_000 });
    for (let index = 0; index < 30; index += 1) await log.decide('a', { index });
    expect(listSegments(dir).length).toBeGreaterThan(3);
    expect(await verified()).toMatchObject({ lines: 30, first: 1, broken: undefined });
  });

  it('removes the oldest segments beyond its limit, and the chain says so', async () => {
    const log = await open({ segmentBytesMax: 1_000, retainedBytesMax: 4_000 });
    for (let index = 0; index < 100; index += 1) await log.decide('a', { index });
    await log.settled();
    const total = listSegments(dir).reduce((sum, { path }) => sum + statSync(path).size, 0);
    expect(total).toBeLessThan(7_000);
    const report = await verified();
    expect(report.broken).toBeUndefined();
    expect(report.first).toBeGreaterThan(1);
    rmSync(segment(0));
    expect((await verified()).broken?.reason).toMatch(/what came before is missing/);
  });

  it('refuses to write behind somebody else', async () => {
    const log = await open();
    await log.decide('a', {});
    appendFileSync(segment(), 'x\n');
    await expect(log.decide('b', {})).rejects.toThrow(/another process writes to this chain/);
    log.note('request', {});
    expect(log.dropped).toBe(1);
    expect(troubles.map(({ kind }) => kind)).toEqual(['stalled', 'dropped']);
  });

  it('cannot be opened where it cannot write', async () => {
    writeFileSync(dir, 'a file');
    await expect(open()).rejects.toMatchObject({ code: 'io', message: /audit in .*engine cannot/ });
  });

  it('takes nothing once it is closed', async () => {
    const log = await open();
    await log.close();
    await expect(log.decide('a', {})).rejects.toThrow(/it is closed/);
    log.note('a', {});
    expect(log.dropped).toBe(1);
  });
});

describe('a disk that does not keep up', () => {
  it('lets notes be dropped: bounded, counted, told, and noted in the chain', async () => {
    const log = await open({ groupMs: 3_600_000, pendingBytesMax: 64 * 1024 });
    const count = 5_000;
    for (let index = 0; index < count; index += 1) log.note('request', { index });
    expect(log.dropped).toBeGreaterThan(count / 2);
    expect(troubles).toEqual([{ kind: 'dropped', lines: 1 }]);
    // A decision still finds its place.
    await log.decide('model_served', {});
    await log.settled();
    const { dropped } = log;
    const gap = (await lines()).find(({ event }) => event === 'audit_gap');
    expect(gap?.data).toEqual({ stalled_ms: 0, dropped_lines: dropped });
    expect(await verified()).toMatchObject({ broken: undefined });
  });
});

describe('what a killed writer leaves', () => {
  it('is whole after any cut: nothing acknowledged is lost, the chain verifies', async () => {
    const log = await open();
    for (let index = 0; index < 4; index += 1) await log.decide('model_served', { index });
    await log.close();
    const whole = readFileSync(segment());
    const path = segment();
    const ends = [...whole.entries()].filter(([, byte]) => byte === 0x0a).map(([at]) => at + 1);
    for (let length = ends[1] ?? 0; length <= whole.length; length += 1) {
      writeFileSync(path, whole.subarray(0, length));
      const kept = ends.filter((end) => end <= length).length;
      // Before anybody heals it.
      const seen = await verified();
      expect(seen.broken).toBeUndefined();
      expect(seen.lines).toBe(kept);
      expect(seen.tornBytes).toBe(length - (ends[kept - 1] ?? 0));
      // And after.
      const next = await AuditLog.open({ dir });
      await next.decide('after', {});
      await next.close();
      const healed = await verified();
      expect(healed.broken).toBeUndefined();
      const torn = seen.tornBytes > 0;
      expect(healed.lines).toBe(kept + (torn ? 2 : 1));
      const aside = readdirSync(dir).filter((name) => name.includes('.torn-'));
      expect(aside).toHaveLength(torn ? 1 : 0);
      for (const name of aside) {
        expect(readFileSync(join(dir, name)).length).toBe(seen.tornBytes);
        expect((await lines()).find(({ event }) => event === 'audit_healed')?.data).toMatchObject({
          file: name,
          bytes: seen.tornBytes,
        });
        rmSync(join(dir, name));
      }
    }
  });

  it('is noted even when the healer was killed before it could', async () => {
    const log = await open();
    await log.decide('a', {});
    await log.close();
    writeFileSync(`${segment()}.torn-7.new`, 'half a li');
    const next = await open();
    expect((await lines()).map(({ event }) => event)).toEqual(['a', 'audit_healed']);
    await next.close();
    await (await open()).decide('b', {});
    expect((await lines()).map(({ event }) => event)).toEqual(['a', 'audit_healed', 'b']);
  });

  it('may be an empty or a wholly torn segment', async () => {
    const log = await open();
    await log.decide('a', {});
    await log.close();
    writeFileSync(join(dir, '000000000002.jsonl'), '{"seq":2,"pr');
    const next = await open();
    expect((await next.decide('b', {})).seq).toBe(3);
    expect(await verified()).toMatchObject({ lines: 3, broken: undefined });
    expect(readdirSync(dir)).toContain('000000000002.jsonl.torn-0');
  });

  it('survives zeros and long garbage behind the last line', async () => {
    const log = await open();
    await log.decide('a', {});
    await log.close();
    appendFileSync(segment(), Buffer.alloc(300_000));
    const next = await open();
    await next.decide('b', {});
    expect((await lines()).map(({ event }) => event)).toEqual(['a', 'audit_healed', 'b']);
    expect(await verified()).toMatchObject({ broken: undefined });
  });
});

describe('verification', () => {
  it('names file and line of the first changed, removed or swapped line', async () => {
    const log = await open({ segmentBytesMax: 800 });
    for (let index = 0; index < 20; index += 1) await log.decide('a', { index, word: 'x' });
    await log.close();
    const { path } = listSegments(dir)[1] ?? { path: '' };
    const whole = readFileSync(path, 'utf8');
    const texts = whole.split('\n');
    const put = (changed: readonly string[]) => writeFileSync(path, changed.join('\n'));
    put(texts.map((text, at) => (at === 1 ? text.replace('"x"', '"y"') : text)));
    expect((await verified()).broken).toMatchObject({ file: path, line: 3 });
    put(texts.filter((_, at) => at !== 1));
    expect((await verified()).broken).toMatchObject({ file: path, line: 2 });
    put(
      texts.map((text, at) => (at === 0 ? (texts[1] ?? '') : at === 1 ? (texts[0] ?? '') : text)),
    );
    expect((await verified()).broken).toMatchObject({ file: path, line: 1 });
    put(texts.map((text, at) => (at === 2 ? 'not a line' : text)));
    expect((await verified()).broken).toMatchObject({ file: path, line: 3 });
    truncateSync(path, whole.length - 5);
    expect((await verified()).broken?.file).toBe(path);
    writeFileSync(path, whole);
    expect((await verified()).broken).toBeUndefined();
    rmSync(path);
    expect((await verified()).broken?.reason).toMatch(/has number \d+ where \d+ was expected/);
  });

  it('finds any single flipped byte of a chain that another one has seen', async () => {
    const log = await open();
    for (let index = 0; index < 6; index += 1) await log.decide('a', { index });
    const witness = await AuditLog.open({ dir: join(root, 'router') });
    await witness.decide('audit_anchor', { service: 'engine', ...log.head });
    await witness.close();
    const whole = readFileSync(segment());
    await fc.assert(
      fc.asyncProperty(
        fc.nat(whole.length - 1),
        fc.integer({ min: 1, max: 255 }),
        async (at, bits) => {
          const changed = Buffer.from(whole);
          changed[at] = (changed[at] ?? 0) ^ bits;
          writeFileSync(segment(), changed);
          expect((await verified()).broken).toBeDefined();
        },
      ),
      { numRuns: 200 },
    );
    writeFileSync(segment(), whole);
    expect(await verified()).toMatchObject({ broken: undefined, anchors: { held: 1 } });
  });

  it('finds a chain rewritten, cut or deleted as a whole, by what others saw of it', async () => {
    const log = await open();
    for (let index = 0; index < 5; index += 1) await log.decide('a', { index });
    const witness = await AuditLog.open({ dir: join(root, 'router') });
    await witness.decide('audit_anchor', { service: 'engine', ...log.head });
    await witness.close();
    await log.close();
    const whole = readFileSync(segment());
    const path = segment();
    writeFileSync(path, whole.subarray(0, whole.indexOf(0x0a) + 1));
    expect((await verified()).broken?.reason).toMatch(
      /line 5 is missing, though line 1 of router saw/,
    );
    rmSync(dir, { recursive: true });
    const reports = await verifyChains(root);
    expect(reports.find(({ service }) => service === 'engine')?.broken?.reason).toMatch(/was cut/);
    const forged = await open();
    for (let index = 0; index < 5; index += 1) await forged.decide('a', { index: index + 1 });
    expect((await verified()).broken?.reason).toMatch(/line 5 is another one.*rewritten/);
  });
});
