import { describe, expect, it } from '@jest/globals';
import { useRouterBench } from '../router-bench.fixture.js';

const STREAM = { model: 'm', stream: true, messages: [{ role: 'user', content: 'hi' }] };

describe('an event stream that declares its length', () => {
  const bench = useRouterBench();

  async function ask(behaviour: string, more: object = {}): Promise<string> {
    const main = { url: bench.upstream.url(behaviour), ...more };
    await bench.start({ router: { backends: { main } } });
    const answer = await bench.router.post(STREAM);
    expect(answer.headers.get('content-length')).toBeNull();
    return answer.text();
  }

  it('and dies ends with the event that says so', async () => {
    const events = (await ask('die-before-length')).trimEnd().split('\n\n');
    expect(events).toHaveLength(2);
    expect(events[0]).toContain('"content":"token "');
    expect(events[1]).toContain('"code":"upstream_failed"');
  });

  it('is whole without its thoughts', async () => {
    const text = await ask('thinks-by-length', { strip_thinking: true });
    expect(text).toMatch(/"content":"4".*data: \[DONE\]\n\n$/s);
    expect(text).not.toContain('hm');
  });
});
