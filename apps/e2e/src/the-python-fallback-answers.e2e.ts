import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ask, type Answer } from './ask.js';
import { Instance, killAll, parentOf } from './instance.js';

const QUESTIONS = ['What is 2+2?', 'What is 3+4?', 'What is 5+1?'];
/** The first run downloads and installs mlx-lm. */
const SETUP_MS = 900_000;

describe('with the engine stopped, the same question gets the same answer', () => {
  let instance: Instance;

  beforeAll(async () => {
    instance = await Instance.create();
    expect(await instance.up('--with-fallback')).toMatchObject({ code: 0 });
  }, SETUP_MS);

  afterAll(async () => {
    expect(await instance.destroy()).toEqual([]);
  });

  it('from mlx_lm.server on the last URL', async () => {
    const router = await instance.url('router');
    const fallback = await instance.service('mlx-py-fallback');
    expect(fallback).toMatchObject({ state: 'ready', healthy: true });

    const byEngine: Answer[] = [];
    for (const question of QUESTIONS) byEngine.push(await ask(router, { question }));
    expect(byEngine.map(({ urlIndex }) => urlIndex)).toEqual(['0', '0', '0']);
    expect(byEngine[0]?.content).toBe('4');

    const { pid, pids } = await instance.service('engine');
    const supervisor = await parentOf(pid ?? 0);
    // Held, so that it restarts nothing meanwhile.
    process.kill(supervisor, 'SIGSTOP');
    try {
      killAll(pids);
      const byFallback: Answer[] = [];
      for (const question of QUESTIONS) byFallback.push(await ask(router, { question }));
      expect(byFallback).toEqual(byEngine.map(({ content }) => ({ content, urlIndex: '1' })));
    } finally {
      process.kill(supervisor, 'SIGCONT');
    }
  });

  it('and another name in a request makes it load nothing else', async () => {
    const { url } = await instance.service('mlx-py-fallback');
    const response = await fetch(`${url ?? ''}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({
        model: 'mlx-community/another-model',
        messages: [{ role: 'user', content: 'What is 2+2?' }],
      }),
    });
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: '4' } }] });
    const list = await fetch(`${url ?? ''}/v1/models`);
    expect(await list.json()).toMatchObject({ data: [{ id: 'padawan' }] });
  });

  it('and no web page of elsewhere may read it', async () => {
    const { url } = await instance.service('mlx-py-fallback');
    const list = await fetch(`${url ?? ''}/v1/models`, { headers: { origin: 'https://evil.com' } });
    expect(list.status).toBe(200);
    expect(list.headers.get('access-control-allow-origin')).toBeNull();
  });
});
