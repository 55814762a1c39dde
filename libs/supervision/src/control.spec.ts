import { once } from 'node:events';
import { mkdirSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { waitUntil } from '@sanctum/testing';
import { ControlClient } from './control-client.js';
import { CONTROL_REQUEST_BYTES_MAX, ControlServer } from './control-server.js';
import { LocalSupervisor, type ServiceEvent } from './local-supervisor.js';
import { openWorkshop, type Workshop } from './testing/programs.js';

let workshop: Workshop;
let supervisor: LocalSupervisor;
let server: ControlServer;
let client: ControlClient;

beforeEach(async () => {
  workshop = openWorkshop();
  supervisor = await LocalSupervisor.open(workshop);
  server = await ControlServer.listen({
    path: workshop.socket,
    supervisor,
    shutDown: () => supervisor.stopAll(),
  });
  client = new ControlClient(workshop.socket);
});
afterEach(async () => {
  await server.close();
  await supervisor.close();
  workshop.remove();
});

async function say(line: string): Promise<string> {
  const socket = connect(workshop.socket);
  await once(socket, 'connect');
  socket.end(line);
  return text(socket);
}

describe('control socket', () => {
  it('belongs to its owner only', () => {
    expect(statSync(workshop.socket).mode & 0o777).toBe(0o600);
  });

  it.each([
    ['lies a folder', 'taken'],
    ['is no room for its name', 'x'.repeat(200)],
  ])('is refused by name where there %s', async (_, name) => {
    const path = join(workshop.paths.state, name);
    if (name === 'taken') mkdirSync(path);
    const listening = ControlServer.listen({ path, supervisor, shutDown: () => Promise.resolve() });
    await expect(listening).rejects.toMatchObject({
      ...{ code: 'io', param: path },
      message: expect.stringContaining(`The control socket ${path} cannot be opened`),
    });
  });

  it('tells the status, restarts, and stops one or all', async () => {
    await supervisor.install(await workshop.service('engine'));
    await supervisor.install(await workshop.service('router'));
    await supervisor.startAll();
    const before = await client.status();
    expect(before.pid).toBe(process.pid);
    expect(before.services).toEqual(await supervisor.list());
    await client.restart('engine');
    const after = await client.status();
    expect(after.services[0]?.pid).not.toBe(before.services[0]?.pid);
    expect(after.services[1]?.pid).toBe(before.services[1]?.pid);
    await client.stop('engine');
    expect((await supervisor.status('engine')).state).toBe('stopped');
    await client.start('engine');
    await client.stop();
    expect((await supervisor.list()).map(({ state }) => state)).toEqual(['stopped', 'stopped']);
  });

  describe('a pause', () => {
    async function killed(): Promise<void> {
      const { pid } = await supervisor.status('engine');
      if (pid === null) throw new Error('engine has no process');
      const gone = once(supervisor.events, 'change');
      process.kill(pid, 'SIGKILL');
      await gone;
    }
    const nextState = async (): Promise<string> => {
      const [event] = (await once(supervisor.events, 'change')) as [ServiceEvent];
      return event.state;
    };
    beforeEach(async () => {
      await supervisor.install(await workshop.service('engine', { restartsMax: 1 }));
      await supervisor.startAll();
    });

    it('lets a service be dead, and gives it back to its restarter', async () => {
      const resume = await client.pause('engine');
      await killed();
      const dead = await supervisor.status('engine');
      expect(dead).toMatchObject({ state: 'backoff', pid: null, restarts: 0 });
      expect(dead.reason).toContain('while restarts were paused');
      const states = [nextState()];
      resume();
      expect(await Promise.all(states)).toEqual(['starting']);
      expect(await nextState()).toBe('ready');
    });

    it('ends with the connection of who asked for it', async () => {
      const socket = connect(workshop.socket);
      await once(socket, 'connect');
      socket.write('{"verb":"pause","service":"engine"}\n');
      await once(socket, 'data');
      await killed();
      const starting = nextState();
      socket.destroy();
      expect(await starting).toBe('starting');
    });

    it('is one at a time, and of a service that is ready', async () => {
      const resume = await client.pause('engine');
      await expect(client.pause('engine')).rejects.toThrow('paused already');
      await expect(client.pause('nobody')).rejects.toMatchObject({ code: 'not_found' });
      resume();
      await client.stop('engine');
      await expect(client.pause('engine')).rejects.toThrow('not ready');
    });

    it('is no reason to start what is stopped meanwhile', async () => {
      const resume = await client.pause('engine');
      await client.stop('engine');
      resume();
      await client.status();
      expect((await supervisor.status('engine')).state).toBe('stopped');
    });
  });

  it('tells every phase to those who watch', async () => {
    await supervisor.install(await workshop.service('engine'));
    const abort = new AbortController();
    const events = client.watch(abort.signal);
    const first: Promise<IteratorResult<ServiceEvent, void>> = events.next();
    const isWatched = () => supervisor.events.listenerCount('change') > 0;
    await waitUntil(isWatched, { what: 'the supervisor is watched' });
    const started = supervisor.startAll();
    const states: string[] = [];
    const { value: waiting } = await first;
    for await (const event of events) {
      states.push(event.state);
      if (event.state === 'ready') {
        break;
      }
    }
    await started;
    expect([waiting?.state, ...states]).toEqual(['waiting', 'starting', 'ready']);
  });

  it('shows and follows a log', async () => {
    await supervisor.install(await workshop.service('engine'));
    await supervisor.startAll();
    const abort = new AbortController();
    const request = { service: 'engine', lines: 10, follow: true };
    const lines = client.logs(request, abort.signal);
    expect((await lines.next()).value).toContain('"msg":"hello"');
    const next = lines.next();
    await supervisor.restart('engine');
    expect((await next).value).toContain('"msg":"hello"');
    abort.abort();
    expect((await lines.next()).done).toBe(true);
  });

  it('refuses what it does not know, and says so', async () => {
    await expect(client.restart('nobody')).rejects.toMatchObject({ code: 'not_found' });
    await expect(
      client.logs({ service: '../x', lines: 1, follow: false }, AbortSignal.timeout(5_000)).next(),
    ).rejects.toMatchObject({ code: 'not_found' });
    expect(await say('nonsense\n')).toContain('not JSON');
    expect(await say('{"verb":"explode"}\n')).toContain('invalid_request');
    expect(await say('{"verb":"status","extra":1}\n')).toContain('invalid_request');
    expect(await say('')).toBe('');
    expect(await say('x'.repeat(CONTROL_REQUEST_BYTES_MAX + 1))).toContain('body_too_large');
  });

  it('knows whether anybody listens', async () => {
    expect(await client.isRunning()).toBe(true);
    expect(await new ControlClient(`${workshop.socket}.none`).isRunning()).toBe(false);
  });
});
