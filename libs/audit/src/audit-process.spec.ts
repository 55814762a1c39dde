import { execFileSync, fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { hashesAt, readLines } from './read-chain.js';
import { verifyChains } from './verify-chain.js';

const WRITER = fileURLToPath(new URL('./audit-writer.fixture.ts', import.meta.url));
const HOOKS = fileURLToPath(new URL('../../testing/src/source-register.mjs', import.meta.url));
const KILLS = 12;

interface Told {
  readonly open?: true;
  readonly seq?: number;
  readonly hash?: string;
  readonly refused?: string;
  readonly trouble?: string;
}

let root: string;
let dir: string;
let writers: ChildProcess[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sanctum-audit-process-'));
  dir = join(root, 'engine');
});

afterEach(async () => {
  await Promise.all(writers.map((writer) => kill(writer)));
  writers = [];
  rmSync(root, { recursive: true, force: true });
});

/** Resolves when it is gone, and so writes nothing more. */
async function kill(writer: ChildProcess): Promise<void> {
  if (writer.exitCode !== null || writer.signalCode !== null) return;
  const exited = once(writer, 'exit');
  writer.kill('SIGKILL');
  await exited;
}

async function start(): Promise<ChildProcess> {
  const execArgv = ['--conditions=@sanctum/source', '--no-warnings', `--import=${HOOKS}`];
  const writer = fork(WRITER, [dir], { execArgv });
  writers.push(writer);
  await told(writer, ({ open }) => open === true);
  return writer;
}

/** The first message that fits; two that come at once are both looked at. */
function told(writer: ChildProcess, fits: (message: Told) => boolean): Promise<Told> {
  return new Promise((resolve) => {
    const look = (message: Told): void => {
      if (!fits(message)) return;
      writer.off('message', look);
      resolve(message);
    };
    writer.on('message', look);
  });
}

async function ask(writer: ChildProcess): Promise<Told> {
  writer.send('decide');
  return told(writer, ({ seq, refused }) => seq !== undefined || refused !== undefined);
}

describe('a writer killed with SIGKILL, again and again', () => {
  it('loses nothing it had acknowledged, and its chain verifies each time', async () => {
    const acknowledged = new Map<number, string>();
    for (let round = 0; round < KILLS; round += 1) {
      const writer = await start();
      writer.on('message', ({ seq, hash }: Told) => {
        if (seq !== undefined && hash !== undefined) acknowledged.set(seq, hash);
      });
      writer.send('run');
      // An arbitrary moment: after a number of lines that no boundary divides.
      const enough = 3 + ((round * 7) % 23);
      let seen = 0;
      await told(writer, ({ seq }) => seq !== undefined && (seen += 1) >= enough);
      await kill(writer);
      const [report] = await verifyChains(root);
      expect(report?.broken).toBeUndefined();
      const found = await hashesAt(dir, new Set(acknowledged.keys()));
      for (const [seq, hash] of acknowledged) expect(found.get(seq)).toBe(hash);
    }
    expect(acknowledged.size).toBeGreaterThan(KILLS * 3);
    const writer = await start();
    expect(await ask(writer)).toHaveProperty('seq');
    const [report] = await verifyChains(root);
    expect(report?.broken).toBeUndefined();
  });
});

describe('a disk that refuses', () => {
  /** The system's own limit on file sizes: writes fail with EFBIG, until it is lifted. */
  const limitFiles = (writer: ChildProcess, bytes: number | 'unlimited') =>
    execFileSync('prlimit', ['--pid', String(writer.pid), `--fsize=${bytes}:unlimited`]);

  const canLimit = process.platform === 'linux';

  it('fails decisions closed, keeps notes, and goes on when there is room again', async () => {
    const writer = await start();
    const first = await ask(writer);
    expect(first.seq).toBe(1);
    if (!canLimit) return;
    limitFiles(writer, 200);
    const refused = await ask(writer);
    expect(refused.refused).toMatch(/cannot be written: EFBIG/);
    const again = await ask(writer);
    expect(again.refused).toMatch(/the disk does not take what was written before|EFBIG/);
    let [meanwhile] = await verifyChains(root);
    // A retry that is under way has written what it is about to cut off.
    while (meanwhile?.tornBytes !== 0) [meanwhile] = await verifyChains(root);
    expect(meanwhile).toMatchObject({ lines: 1, broken: undefined });
    writer.send('note');
    const recovered = told(writer, ({ trouble }) => trouble === 'recovered');
    limitFiles(writer, 'unlimited');
    await recovered;
    expect(await ask(writer)).toHaveProperty('seq');
    const events: string[] = [];
    for await (const { event } of readLines(dir)) events.push(event);
    expect(events).toEqual(expect.arrayContaining(['model_served', 'request', 'audit_gap']));
    const [report] = await verifyChains(root);
    expect(report?.broken).toBeUndefined();
  });
});
