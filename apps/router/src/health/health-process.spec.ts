import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RunningProgram, UpstreamProgram, waitUntil } from '@sanctum/testing';
import { NOON_ZONE } from '../router.fixture.js';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
const STREAM = { model: 'm', stream: true, messages: [{ role: 'user', content: 'What is 2+2?' }] };

describe('a router that is killed', () => {
  let home: string;
  let upstream: UpstreamProgram;
  let router: RunningProgram | undefined;
  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'sanctum-router-kill-'));
    upstream = await UpstreamProgram.start();
    const services = {
      router: {
        port: 0,
        default: 'home',
        backends: {
          home: {
            url: upstream.url('status-500'),
            fallback_urls: [upstream.url('well')],
            default_model: 'padawan',
            // However long the router takes to start again.
            breaker: { open_s: 3_600 },
          },
          cloud: { url: upstream.url('says-usage'), daily_cap_completion_tokens: 40 },
        },
      },
    };
    writeFileSync(
      join(home, 'instance.yaml'),
      JSON.stringify({ instance: { name: 'test', timezone: NOON_ZONE }, services }),
    );
  });
  afterAll(async () => {
    await router?.kill();
    await upstream.kill();
    rmSync(home, { recursive: true, force: true });
  });

  async function start(): Promise<string> {
    const args = ['--router-config', join(home, 'instance.yaml')];
    router = await RunningProgram.startSource(MAIN, { args });
    const line = await router.line((text) => text.includes('"msg":"ready"'), 60_000);
    const { addresses } = JSON.parse(line) as { addresses: { url: string }[] };
    return addresses[0]?.url ?? '';
  }

  async function ask(url: string, model: string): Promise<string | null> {
    const body = JSON.stringify({ ...STREAM, model });
    const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body });
    await answer.text();
    return answer.headers.get('x-sanctum-backend');
  }

  const asked = (behaviour: string): number =>
    upstream.requests.filter((one) => one.behaviour === behaviour && one.method === 'POST').length;

  it('knows again which breaker was open and which budget was spent', async () => {
    const url = await start();
    for (let count = 0; count < 5; count++) await ask(url, 'home');
    expect(await ask(url, 'cloud')).toBe('cloud');
    expect([asked('status-500'), asked('says-usage')]).toEqual([5, 1]);
    const folder = join(home, 'state', 'router');
    await waitUntil(() => keptText(folder).includes('"kind":"open"'), { what: 'it is on disk' });
    await waitUntil(() => keptText(folder).includes('"tokens":40'), { what: 'so is the budget' });
    expect(await router?.kill()).toMatchObject({ signal: 'SIGKILL' });

    const again = await start();
    expect(await ask(again, 'home')).toBe('home');
    expect(await ask(again, 'cloud')).toBe('home');
    expect([asked('status-500'), asked('says-usage')]).toEqual([5, 1]);
    await router?.stop();
    expect(readdirSync(folder)).toEqual(['health.json']);
  });
});

function keptText(folder: string): string {
  try {
    return readFileSync(join(folder, 'health.json'), 'utf8');
  } catch {
    return '';
  }
}
