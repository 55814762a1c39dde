import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { listSegments, readLines, verifyChains, type AuditLine } from '@sanctum/audit';
import { UpstreamProgram, waitUntil } from '@sanctum/testing';
import { startTestRouter, type TestRouter } from '../router.fixture.js';

const PROMPT = 'a prompt that nobody else may read';
const QUESTION = { model: 'm', messages: [{ role: 'user', content: PROMPT }] };

describe('the audit of the router', () => {
  let upstream: UpstreamProgram;
  let home: string;
  let router: TestRouter;
  beforeAll(async () => {
    upstream = await UpstreamProgram.start();
  });
  afterAll(() => upstream.kill());
  beforeEach(async () => {
    home = mkdtempSync(join(tmpdir(), 'sanctum-router-audit-'));
    const council = {
      url: upstream.url('die-before-answer'),
      fallback_urls: [upstream.url('well')],
      models: ['m'],
    };
    const silent = { url: upstream.url('stall'), models: ['nobody'] };
    const dying = { url: upstream.url('die-midway'), models: ['dying'] };
    router = await startTestRouter({ home, router: { backends: { council, silent, dying } } });
  });
  afterEach(async () => {
    await router.stop();
    rmSync(home, { recursive: true, force: true });
  });

  async function requests(count: number): Promise<AuditLine['data'][]> {
    return waitUntil(
      async () => {
        const found: AuditLine['data'][] = [];
        for await (const { event, data } of readLines(join(home, 'audit', 'router'))) {
          if (event === 'request') found.push(data);
        }
        return found.length === count ? found : undefined;
      },
      { what: `${count} audited requests` },
    );
  }

  it('has one line per request: who, what, by whom, and no word of it', async () => {
    const answer = await router.post(QUESTION, { headers: { 'x-request-id': 'mine' } });
    expect(answer.status).toBe(200);
    const said = await answer.text();
    const [line] = await requests(1);
    expect(line).toMatchObject({
      ...{ request_id: 'mine', identity: 'local', transport: 'plain-loopback' },
      ...{ route: 'chat/completions', model: 'm', backend: 'council', url_index: 1 },
      ...{ digest: 'sha256:0123', outcome: 'answered', status: 200, attempts: 2 },
    });
    expect(line).toMatchObject({ prompt_tokens: 12, completion_tokens: 8 });
    await router.stop();
    const [segment] = listSegments(join(home, 'audit', 'router'));
    const text = readFileSync(segment?.path ?? '', 'utf8');
    expect(text).not.toContain(PROMPT);
    const { content } = (JSON.parse(said) as { choices: { message: { content: string } }[] })
      .choices[0]?.message ?? { content: '' };
    expect(content.length).toBeGreaterThan(0);
    expect(text).not.toContain(content);
    expect((await verifyChains(join(home, 'audit')))[0]?.broken).toBeUndefined();
  });

  it('says nothing of a prompt that nobody counted', async () => {
    await (await router.post({ ...QUESTION, stream: true })).text();
    const [line] = await requests(1);
    expect(line?.['completion_tokens']).toBeGreaterThan(0);
    expect(line).not.toHaveProperty('prompt_tokens');
  });

  it('has a line for what was refused, and for what nobody waited for', async () => {
    expect((await router.post('not an object')).status).toBe(400);
    const abort = new AbortController();
    const asked = upstream.nextRequest();
    const gone = router.post({ ...QUESTION, model: 'nobody' }, { signal: abort.signal });
    await asked;
    abort.abort();
    await expect(gone).rejects.toThrow();
    const [refused, cancelled] = await requests(2);
    expect(refused).toMatchObject({ outcome: 'refused', status: 400 });
    expect(refused).not.toHaveProperty('backend');
    expect(cancelled).toMatchObject({ outcome: 'cancelled', backend: 'silent' });
    expect(cancelled).not.toHaveProperty('status');
  });

  it('says of a stream that died that it was cut, though it ended properly', async () => {
    const answer = await router.post({ ...QUESTION, model: 'dying', stream: true });
    expect(await answer.text()).toContain('upstream_failed');
    const [line] = await requests(1);
    expect(line).toMatchObject({ outcome: 'cut', status: 200, error_class: 'UND_ERR_SOCKET' });
  });

  it('begins with the start, and counts no line as lost', async () => {
    await router.post(QUESTION);
    await requests(1);
    expect(await router.metric('sanctum_router_audit_dropped_lines')).toBe(0);
    // Lines are read here before they are known to be on the disk.
    await waitUntil(async () => (await router.metric('sanctum_router_audit_lines')) >= 2, {
      what: 'both lines are durable',
    });
    const events: string[] = [];
    for await (const { event } of readLines(join(home, 'audit', 'router'))) events.push(event);
    expect(events[0]).toBe('started');
  });
});
