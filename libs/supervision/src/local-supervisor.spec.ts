import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { findProcess } from '@sanctum/catalog';
import { waitUntil } from '@sanctum/testing';
import { LocalSupervisor, type ServiceEvent } from './local-supervisor.js';
import type { Phase } from './lifecycle.js';
import { readRecord } from './supervisor-record.js';
import { openWorkshop, type Workshop } from './testing/programs.js';

/** A log is looked at every five seconds; one whose writer cannot be held is left for the next look. */
const ROTATION_TIMEOUT_MS = 45_000;
let workshop: Workshop;
let supervisor: LocalSupervisor;

beforeEach(async () => {
  workshop = openWorkshop();
  supervisor = await LocalSupervisor.open(workshop);
});
afterEach(async () => {
  await supervisor.close();
  workshop.remove();
});

async function reaches(name: string, state: Phase): Promise<ServiceEvent> {
  for (;;) {
    const [event] = (await once(supervisor.events, 'change')) as [ServiceEvent];
    if (event.name === name && event.state === state) {
      return event;
    }
  }
}

async function pidOf(name: string): Promise<number> {
  const { pid } = await supervisor.status(name);
  if (pid === null) {
    throw new Error(`${name} has no process`);
  }
  return pid;
}

describe('LocalSupervisor', () => {
  it('starts in graph order, waits for readiness and stops in reverse', async () => {
    const seen: string[] = [];
    supervisor.events.on('change', ({ name, state }) => seen.push(`${name} ${state}`));
    await supervisor.install(await workshop.service('router', { requires: ['engine'] }));
    await supervisor.install(await workshop.service('engine'));
    await supervisor.startAll();
    expect(seen.filter((line) => /starting|ready/.test(line))).toEqual([
      'engine starting',
      'engine ready',
      'router starting',
      'router ready',
    ]);
    const list = await supervisor.list();
    expect(list.map(({ name, healthy }) => [name, healthy])).toEqual([
      ['router', true],
      ['engine', true],
    ]);
    const pids = list.flatMap((status) => status.pids);
    expect(readRecord(workshop.paths.supervisorFile)?.services).toHaveLength(2);
    seen.length = 0;
    await supervisor.stopAll();
    expect(seen.filter((line) => line.endsWith('stopped'))).toEqual([
      'router stopped',
      'engine stopped',
    ]);
    expect(pids.map((pid) => findProcess(pid))).toEqual([undefined, undefined]);
    expect(readRecord(workshop.paths.supervisorFile)?.services).toEqual([]);
  });

  it('notices a killed service by its exit and brings it back', async () => {
    await supervisor.install(await workshop.service('engine', { habits: ['forks'] }));
    await supervisor.startAll();
    const { pids } = await supervisor.status('engine');
    expect(pids).toHaveLength(2);
    const before = await pidOf('engine');
    const back = reaches('engine', 'ready');
    process.kill(before, 'SIGKILL');
    expect(await back).toMatchObject({ restarts: 1, reason: null });
    expect(await pidOf('engine')).not.toBe(before);
    expect(pids.map((pid) => findProcess(pid))).toEqual([undefined, undefined]);
  });

  it('gives up when the restart budget is spent', async () => {
    await supervisor.install(await workshop.service('engine', { restartsMax: 1 }));
    await supervisor.startAll();
    const back = reaches('engine', 'ready');
    process.kill(await pidOf('engine'), 'SIGKILL');
    await back;
    const failed = reaches('engine', 'failed');
    process.kill(await pidOf('engine'), 'SIGKILL');
    expect(await failed).toMatchObject({ reason: 'ended by SIGKILL' });
    await supervisor.start('engine');
    expect(await supervisor.status('engine')).toMatchObject({ state: 'ready', healthy: true });
  });

  it('says at once why a service does not start, and keeps its words', async () => {
    await supervisor.install(await workshop.service('engine', { habits: ['refuse'] }));
    await supervisor.install(await workshop.service('router', { requires: ['engine'] }));
    await expect(supervisor.startAll()).rejects.toThrow(
      /engine did not start: exited with code 3\. See .*engine\.log/,
    );
    expect(readFileSync(supervisor.logFile('engine'), 'utf8')).toContain('bad weights');
    expect((await supervisor.status('router')).state).toBe('stopped');
  });

  it('ends a service that never becomes ready', async () => {
    const spec = await workshop.service('engine', { habits: ['unready'], startupTimeoutMs: 400 });
    await supervisor.install(spec);
    await expect(supervisor.startAll()).rejects.toThrow(/not ready within 400 ms \(/);
    expect((await supervisor.status('engine')).pids).toEqual([]);
  });

  it('kills what ignores SIGTERM, with all it forked', async () => {
    const habits = ['stubborn', 'forks'];
    await supervisor.install(await workshop.service('engine', { habits, stopTimeoutMs: 200 }));
    await supervisor.startAll();
    const { pids } = await supervisor.status('engine');
    await supervisor.stop('engine');
    expect(pids.map((pid) => findProcess(pid))).toEqual([undefined, undefined]);
    expect(await supervisor.status('engine')).toMatchObject({ reason: null, state: 'stopped' });
  });

  it('says when a program cannot be run', async () => {
    const spec = await workshop.service('engine');
    await supervisor.install({ ...spec, command: [join(workshop.paths.home, 'none')] });
    await expect(supervisor.startAll()).rejects.toThrow(/cannot be run: .*ENOENT/);
  });

  it('leaves disabled services alone', async () => {
    await supervisor.install(await workshop.service('engine'));
    await supervisor.disable('engine');
    await supervisor.startAll();
    expect(await supervisor.status('engine')).toMatchObject({ state: 'stopped', enabled: false });
    await supervisor.enable('engine');
    await supervisor.startAll();
    expect((await supervisor.status('engine')).healthy).toBe(true);
    await supervisor.remove('engine');
    await expect(supervisor.status('engine')).rejects.toThrow('there are: none');
  });

  it('allows one supervisor per home and names the one there is', async () => {
    await expect(LocalSupervisor.open(workshop)).rejects.toThrow(`by process ${process.pid}`);
  });

  it('keeps services running when its record cannot be written', async () => {
    const { supervisorFile } = workshop.paths;
    await supervisor.install(await workshop.service('engine'));
    rmSync(supervisorFile);
    mkdirSync(supervisorFile);
    await supervisor.startAll();
    expect((await supervisor.status('engine')).healthy).toBe(true);
    expect(readFileSync(supervisor.logFile('supervisor'), 'utf8')).toContain('record_late');
    rmdirSync(supervisorFile);
    await supervisor.restart('engine');
    expect(readRecord(supervisorFile)?.services).toHaveLength(1);
  });

  it('gives up a service whose log cannot be opened, and says so', async () => {
    await supervisor.install(await workshop.service('engine'));
    mkdirSync(supervisor.logFile('engine'));
    await expect(supervisor.startAll()).rejects.toThrow(/cannot be run: EISDIR/);
  });

  it('rotates the log of a service that writes on, and loses no line of it', async () => {
    await supervisor.close();
    supervisor = await LocalSupervisor.open({
      ...workshop,
      logLimits: { bytesMax: 1000, filesMax: 9 },
    });
    await supervisor.install(await workshop.service('engine', { habits: ['chatty'] }));
    await supervisor.startAll();
    const log = supervisor.logFile('engine');
    await waitUntil(() => existsSync(`${log}.1`), {
      what: 'the log is rotated',
      timeoutMs: ROTATION_TIMEOUT_MS,
    });
    await waitUntil(() => statSync(log).size > 0, { what: 'the service writes on' });
    await supervisor.stop('engine');
    const rotated = readdirSync(workshop.paths.logs).filter((name) =>
      /^engine\.log\.\d$/.test(name),
    );
    const files = [...rotated.sort().reverse(), 'engine.log'];
    const text = files
      .map((name) => readFileSync(join(workshop.paths.logs, name), 'utf8'))
      .join('');
    const lines = text.split('\n').filter((line) => line.startsWith('line '));
    expect(lines.length).toBeGreaterThan(100);
    expect(lines.findIndex((line, at) => line !== `line ${at}`)).toBe(-1);
  });

  it('leaves neither record nor lock', async () => {
    await supervisor.close();
    expect(existsSync(workshop.paths.supervisorFile)).toBe(false);
    expect(existsSync(join(workshop.paths.state, 'supervisor.lock'))).toBe(false);
    supervisor = await LocalSupervisor.open(workshop);
  });
});
