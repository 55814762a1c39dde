import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ask, type Answer } from './ask.js';
import { Instance, killAll, parentOf } from './instance.js';
import { addFallback, startSecondEngine, type SecondEngine } from './second-engine.js';

describe('the death of a process is survived', () => {
  let instance: Instance;
  let router: string;

  beforeAll(async () => {
    instance = await Instance.create();
    expect(await instance.up()).toMatchObject({ code: 0 });
    router = await instance.url('router');
  });

  afterAll(async () => {
    expect(await instance.destroy()).toEqual([]);
  });

  it('answers from the restarted engine after kill -9 of all its processes', async () => {
    const before = await instance.service('engine');
    killAll(before.pids);
    expect(await eventually(() => ask(router))).toMatchObject({ content: '4' });
    const after = await instance.service('engine');
    expect(after.pid).not.toBe(before.pid);
  });

  it('answers again after kill -9 of the worker alone, with the same main process', async () => {
    const before = await instance.service('engine');
    const worker = before.pids.find((pid) => pid !== before.pid);
    expect(worker).toBeDefined();
    process.kill(worker ?? 0, 'SIGKILL');
    expect(await eventually(() => ask(router))).toMatchObject({ content: '4' });
    expect((await instance.service('engine')).pid).toBe(before.pid);
  });

  it('chats while NATS is dead', async () => {
    const nats = await instance.service('nats');
    process.kill(nats.pid ?? 0, 'SIGKILL');
    expect(await ask(router)).toMatchObject({ content: '4' });
    await eventually(async () => {
      const { pid, healthy } = await instance.service('nats');
      if (pid === nats.pid || !healthy) throw new Error('NATS is not back yet');
    });
  });
});

describe('a second engine takes over without the client noticing', () => {
  let instance: Instance;
  let second: SecondEngine | undefined;

  beforeAll(async () => {
    instance = await Instance.create();
    expect(await instance.up()).toMatchObject({ code: 0 });
    second = await startSecondEngine();
    await addFallback(instance, second.url);
    expect((await instance.run('down')).code).toBe(0);
    expect(await instance.up()).toMatchObject({ code: 0 });
  });

  afterAll(async () => {
    second?.kill();
    expect(await instance.destroy()).toEqual([]);
  });

  it('answers every request while the first engine is killed', async () => {
    const router = await instance.url('router');
    const first = await instance.service('engine');
    const supervisor = await parentOf(first.pid ?? 0);
    const answers: Promise<Answer>[] = [];
    for (let index = 0; index < 5; index += 1) answers.push(ask(router));
    // Held, so that the engine is not back before the last request is sent.
    process.kill(supervisor, 'SIGSTOP');
    try {
      killAll(first.pids);
      for (let index = 0; index < 20; index += 1) answers.push(ask(router));
      const settled = await Promise.all(answers);
      expect(settled.map(({ content }) => content)).toEqual(settled.map(() => '4'));
      expect(settled.slice(5).map(({ urlIndex }) => urlIndex)).toEqual(Array(20).fill('1'));
    } finally {
      process.kill(supervisor, 'SIGCONT');
    }
  });
});

/** Tries again whenever an attempt has failed, until the test's own time is up. */
async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}
