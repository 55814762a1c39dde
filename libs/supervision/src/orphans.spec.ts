import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { build } from 'esbuild';
import {
  findProcess,
  groupMembers,
  isAlive,
  pickFreePorts,
  type ProcessId,
} from '@sanctum/catalog';
import { RunningProgram, waitUntil } from '@sanctum/testing';
import { LocalSupervisor } from './local-supervisor.js';
import { reapHome, reapOrphans } from './orphans.js';
import { findPortHolder, isPortFree } from './port-holder.js';
import { findMarked, parseMarks } from './service-marker.js';
import { readRecord, writeRecord, type SupervisorRecord } from './supervisor-record.js';
import { openWorkshop, type Workshop } from './testing/programs.js';

let workshop: Workshop;
beforeEach(() => {
  workshop = openWorkshop();
});
afterEach(() => {
  workshop.remove();
});

function processId(pid: number | undefined): ProcessId {
  const entry = pid === undefined ? undefined : findProcess(pid);
  if (entry === undefined) {
    throw new Error('the process is gone');
  }
  return { pid: entry.pid, started: entry.started };
}

function recordOf(file: string): SupervisorRecord {
  const record = readRecord(file);
  if (record === undefined) {
    throw new Error('there is no record');
  }
  return record;
}

async function bundleSupervision(): Promise<string> {
  const bundle = join(workshop.paths.home, 'supervision.mjs');
  await build({
    entryPoints: [fileURLToPath(new URL('index.ts', import.meta.url))],
    outfile: bundle,
    bundle: true,
    format: 'esm',
    platform: 'node',
    conditions: ['@sanctum/source'],
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
  });
  return bundle;
}

/** A supervisor in a process of its own, killed with SIGKILL once its services are ready. */
async function killSupervisor(): Promise<SupervisorRecord> {
  const bundle = await bundleSupervision();
  const specs = [
    await workshop.service('engine', { habits: ['forks'] }),
    await workshop.service('router', { requires: ['engine'] }),
  ];
  const script = `
    import { LocalSupervisor } from ${JSON.stringify(bundle)};
    const [paths, socket, specs] = ${JSON.stringify([workshop.paths, workshop.socket, specs])};
    const supervisor = await LocalSupervisor.open({ paths, socket });
    for (const spec of specs) await supervisor.install(spec);
    await supervisor.startAll();
    console.log('up');`;
  const program = await RunningProgram.start({
    file: process.execPath,
    args: ['--input-type=module', '-e', script],
  });
  await program.line((line) => line === 'up');
  expect(await program.kill()).toEqual({ code: null, signal: 'SIGKILL' });
  return recordOf(workshop.paths.supervisorFile);
}

describe('after SIGKILL of the supervisor', () => {
  it('its services live on, and the next reaps them by pid and start time', async () => {
    const record = await killSupervisor();
    expect(isAlive(record.supervisor)).toBe(false);
    expect(record.services.map(({ name }) => name)).toEqual(['engine', 'router']);
    expect(record.services.every((service) => isAlive(service))).toBe(true);
    const engineGroup = groupMembers(record.services[0] ?? record.supervisor);
    expect(engineGroup).toHaveLength(2);

    const successor = await LocalSupervisor.open(workshop);
    expect(successor.reaped.map(({ name }) => name)).toEqual(['router', 'engine']);
    expect(successor.reaped[1]?.pids).toEqual(engineGroup);
    expect(record.services.some((service) => isAlive(service))).toBe(false);
    expect(engineGroup.map((pid) => findProcess(pid))).toEqual([undefined, undefined]);
    await successor.close();
    expect(existsSync(workshop.paths.supervisorFile)).toBe(false);
  });

  it('what a dead leader forked is reaped too', async () => {
    const record = await killSupervisor();
    const [engine] = record.services;
    process.kill(processId(engine?.pid).pid, 'SIGKILL');
    const reaped = await reapOrphans(workshop.paths.supervisorFile, 5_000);
    expect(reaped.map(({ name }) => name)).toEqual(['router', 'engine']);
    expect(record.services.flatMap((service) => groupMembers(service))).toEqual([]);
  });
});

/** A supervisor that is killed by the very call that has started its service. */
async function killSupervisorAtSpawn(): Promise<void> {
  const bundle = await bundleSupervision();
  const spec = await workshop.service('engine', { habits: ['forks'] });
  const script = `
    import childProcess from 'node:child_process';
    import { syncBuiltinESMExports } from 'node:module';
    const { spawn } = childProcess;
    childProcess.spawn = (...args) => {
      spawn(...args);
      process.kill(process.pid, 'SIGKILL');
    };
    syncBuiltinESMExports();
    const { LocalSupervisor } = await import(${JSON.stringify(bundle)});
    const [paths, socket, spec] = ${JSON.stringify([workshop.paths, workshop.socket, spec])};
    const supervisor = await LocalSupervisor.open({ paths, socket });
    await supervisor.install(spec);
    await supervisor.startAll();`;
  const program = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: 'inherit',
  });
  const [, signal] = (await once(program, 'exit')) as [number | null, string | null];
  expect(signal).toBe('SIGKILL');
  expect(recordOf(workshop.paths.supervisorFile).services).toEqual([]);
}

describe('after SIGKILL between a spawn and its record', () => {
  it('what was started is reaped all the same', async () => {
    await killSupervisorAtSpawn();
    // A spawn is over a moment before the system shows the environment.
    const engine = await waitUntil(() => findMarked(workshop.paths.supervisorFile)[0], {
      what: 'the engine is found',
    });
    expect(engine.name).toBe('engine');
    expect(findMarked(`${workshop.paths.supervisorFile}x`)).toEqual([]);

    const reaped = await reapHome(workshop, 5_000);
    expect(reaped.map(({ name }) => name)).toEqual(['engine']);
    expect(reaped[0]?.pids).toContain(engine.pid);
    expect(findMarked(workshop.paths.supervisorFile)).toEqual([]);
    expect(isAlive(engine)).toBe(false);
  });

  it('is found by what ps prints, too', () => {
    const line = (pid: number, rest: string): string => `  ${pid} /usr/bin/node a.mjs ${rest}`;
    const file = '/h/a b/state/supervisor.json';
    const text = [
      line(7, `SANCTUM_SUPERVISED=engine@${file} PATH=/bin`),
      line(8, `PATH=/bin SANCTUM_SUPERVISED=router@${file}`),
      line(9, `SANCTUM_SUPERVISED=engine@${file}.old`),
      line(10, `--file @${file} PATH=/bin`),
    ].join('\n');
    expect([...parseMarks(text, file)]).toEqual([
      [7, 'engine'],
      [8, 'router'],
    ]);
  });
});

describe('reapOrphans', () => {
  it('never touches a process that only has the same pid', async () => {
    const stranger = spawn('sleep', ['300'], { stdio: 'ignore', detached: true });
    const id = processId(stranger.pid);
    const former = { ...id, started: id.started.replace(/\d+$/, '1') };
    const self = processId(process.pid);
    writeRecord(workshop.paths.supervisorFile, {
      version: 1,
      supervisor: self,
      socket: workshop.socket,
      services: [{ name: 'engine', ...former }],
    });
    expect(await reapOrphans(workshop.paths.supervisorFile, 1_000)).toEqual([]);
    expect(isAlive(id)).toBe(true);
    stranger.kill('SIGKILL');
    await once(stranger, 'exit');
    expect(isAlive(id)).toBe(false);
  });

  it('touches nothing of an earlier boot', () => {
    expect(groupMembers({ ...processId(process.pid), started: 'other-boot:1' })).toEqual([]);
  });

  it('kills what ignores SIGTERM at the deadline', async () => {
    const script = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1e9); console.log('up')";
    const stubborn = spawn(process.execPath, ['-e', script], {
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    });
    await once(stubborn.stdout, 'data');
    const id = processId(stubborn.pid);
    writeRecord(workshop.paths.supervisorFile, {
      version: 1,
      supervisor: processId(process.pid),
      socket: workshop.socket,
      services: [{ name: 'engine', ...id }],
    });
    expect(await reapOrphans(workshop.paths.supervisorFile, 100)).toEqual([
      { name: 'engine', pids: [id.pid] },
    ]);
    expect(isAlive(id)).toBe(false);
  });

  it('says what to do with a record that is not one', async () => {
    writeFileSync(workshop.paths.supervisorFile, '{"version":1}');
    await expect(reapOrphans(workshop.paths.supervisorFile, 1)).rejects.toThrow(/with ps/);
    expect(readFileSync(workshop.paths.supervisorFile, 'utf8')).toBe('{"version":1}');
  });
});

describe('ports', () => {
  it('name the process that holds them', async () => {
    // One that nobody else is given once it is free.
    const { port } = await pickFreePorts(['port']);
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    expect(await isPortFree('127.0.0.1', port)).toBe(false);
    expect(findPortHolder(port)).toMatchObject({ pid: process.pid });
    expect(findPortHolder(port)?.command).toContain('node');
    server.close();
    await once(server, 'close');
    expect(await isPortFree('127.0.0.1', port)).toBe(true);
    expect(findPortHolder(port)).toBeUndefined();
  });
});
