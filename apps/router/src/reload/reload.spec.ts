import { execFileSync } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { UpstreamProgram, waitUntil } from '@sanctum/testing';
import { startTestRouter, type TestRouter } from '../router.fixture.js';

const CHAT = { model: 'm', messages: [{ role: 'user', content: 'What is 2+2?' }] };

describe('a changed instance.yaml', () => {
  let upstream: UpstreamProgram;
  let router: TestRouter;
  beforeAll(async () => {
    upstream = await UpstreamProgram.start();
  });
  afterAll(() => upstream.kill());
  afterEach(async () => {
    await router.stop();
  });

  async function started(): Promise<TestRouter> {
    router = await startTestRouter({ router: backends({ first: 'well' }) });
    return router;
  }

  const backends = (behaviours: Record<string, string>): object => ({
    backends: Object.fromEntries(
      Object.entries(behaviours).map(([name, behaviour]) => [
        name,
        { url: upstream.url(behaviour), models: ['m'] },
      ]),
    ),
  });
  const logged = (message: string) =>
    waitUntil(() => router.logs.find(({ msg }) => String(msg).startsWith(message)), {
      what: `the log says ${message}`,
    });
  const answering = async (): Promise<string | null> => {
    const answer = await router.post(CHAT);
    await answer.text();
    return answer.headers.get('x-sanctum-backend');
  };

  it('is taken over without a restart', async () => {
    const { rewrite } = await started();
    expect(await answering()).toBe('first');
    rewrite(backends({ second: 'well' }));
    await logged('config_reloaded');
    expect(await answering()).toBe('second');
  });

  it('is taken over when an editor replaces the file by rename', async () => {
    const { configFile } = await started();
    writeFileSync(`${configFile}.new`, textWith(backends({ second: 'well' })));
    renameSync(`${configFile}.new`, configFile);
    await logged('config_reloaded');
    expect(await answering()).toBe('second');
  });

  it('leaves a request under way with the backend it began with', async () => {
    const { rewrite, post } = await started();
    rewrite(backends({ first: 'gated' }));
    await logged('config_reloaded');
    const answer = await post({ ...CHAT, stream: true });
    rewrite(backends({ second: 'well' }));
    await waitUntil(() => router.logs.filter(({ msg }) => msg === 'config_reloaded').length === 2, {
      what: 'the second change is taken over',
    });
    upstream.release();
    expect(await answer.text()).toMatch(/\[DONE\]\n\n$/);
    expect(answer.headers.get('x-sanctum-backend')).toBe('first');
    expect(await answering()).toBe('second');
  });

  it('is not undone by a renewal of certificates that began before it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sanctum-router-renewal-'));
    const ca = join(folder, 'ca.crt');
    writeFileSync(ca, 'old');
    const first = { url: 'https://127.0.0.1:1/v1', tls: { ca }, models: ['m'] };
    router = await startTestRouter({ router: { backends: { first } } });
    rmSync(ca);
    execFileSync('mkfifo', [ca]);
    // Opens when somebody reads, and whoever reads waits for what is written.
    const certificate = await open(ca, 'w');
    router.rewrite(backends({ second: 'well' }));
    process.emit('SIGHUP', 'SIGHUP');
    // While this is answered, a change that would not wait for the renewal is through.
    expect((await router.get('/openapi.json')).status).toBe(200);
    await certificate.writeFile('new');
    await certificate.close();
    await waitUntil(() => router.logged('Registered backend').length === 3, {
      what: 'the renewal and the change are taken over',
    });
    expect(await answering()).toBe('second');
    rmSync(folder, { recursive: true });
  });

  it.each([
    ['is no YAML', '{'],
    ['has an unknown key', textWith({ backends: {}, colour: 'red' })],
    ['declares no backend', textWith({ backends: {} })],
  ])('changes nothing when it %s, and says so', async (_name, text) => {
    const { rewrite } = await started();
    rewrite(text);
    expect(await logged('config_rejected')).toMatchObject({ level: 'error' });
    expect(await answering()).toBe('first');
    rewrite(backends({ second: 'well' }));
    await logged('config_reloaded');
    expect(await answering()).toBe('second');
  });

  it('names the settings that wait for a restart', async () => {
    const { rewrite } = await started();
    rewrite({ ...backends({ first: 'well' }), limits: { requests: 7 } });
    expect(await logged('config_needs_restart')).toMatchObject({
      settings: ['services.router.limits'],
    });
  });

  it('names the time zone among them, because budgets keep their midnight', async () => {
    const { rewrite } = await started();
    rewrite(textWith(backends({ second: 'well' }), { timezone: 'Asia/Tokyo' }));
    expect(await logged('config_needs_restart')).toMatchObject({ settings: ['instance.timezone'] });
    expect(await answering()).toBe('second');
  });

  it('is read again on SIGHUP, changed or not', async () => {
    await started();
    process.emit('SIGHUP', 'SIGHUP');
    expect(await logged('config_reloaded')).toMatchObject({ cause: 'signal' });
    expect(await answering()).toBe('first');
  });
});

function textWith(router: object, instance: object = {}): string {
  return JSON.stringify({
    instance: { name: 'test', ...instance },
    services: { router: { ...router, port: 0 } },
  });
}
