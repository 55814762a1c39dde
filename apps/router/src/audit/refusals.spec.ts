import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readLines, type AuditLine } from '@sanctum/audit';
import { waitUntil } from '@sanctum/testing';
import { useRouterBench } from '../router-bench.fixture.js';
import type { TestRouter } from '../router.fixture.js';
import { REFUSALS_LISTED_MAX } from './refusal-window.js';

const QUESTION = { model: 'm', messages: [{ role: 'user', content: 'hello' }] };
const WHO = { identity: 'local', transport: 'plain-loopback' };

/** The status line of what the router answers to these bytes. */
async function said(router: TestRouter, bytes: string): Promise<string> {
  const socket = connect(Number(new URL(router.url).port), '127.0.0.1');
  socket.on('error', () => undefined).write(bytes);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return answer.toString('latin1').split('\r\n', 1)[0] ?? '';
}

describe('who is refused', () => {
  const bench = useRouterBench();
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'sanctum-refusals-'));
  });
  afterEach(async () => {
    await bench.stopRouter();
    rmSync(home, { recursive: true, force: true });
  });

  function started(local: object, limits: object = {}): Promise<TestRouter> {
    const { upstream } = bench;
    const backends = {
      council: { url: upstream.url('well'), models: ['m'] },
      coder: { url: upstream.url('status-500'), fallback_urls: [upstream.url('well')] },
    };
    const callers = { local };
    return bench.start({ home, router: { backends, callers }, limits });
  }
  async function audited(event: string): Promise<AuditLine['data'][]> {
    const found: AuditLine['data'][] = [];
    for await (const line of readLines(join(home, 'audit', 'router'))) {
      if (line.event === event) found.push(line.data);
    }
    return found;
  }
  const oneOf = (event: string, code: string): Promise<AuditLine['data']> =>
    waitUntil(
      async () => (await audited(event)).find((data) => Object.values(data).includes(code)),
      { what: `${event} with ${code}` },
    );

  it('has a line in the audit and in the log: out of turn, at the control pages, further in', async () => {
    const router = await started(
      { requests_per_minute: 2, backends: ['council'] },
      { bodyBytesMax: 200 },
    );
    const method = await fetch(`${router.url}/v1/models`, { method: 'DELETE' });
    expect(method.status).toBe(405);
    expect(await oneOf('request', 'status_405')).toMatchObject({ ...WHO, outcome: 'refused' });

    const large = await router.post({ ...QUESTION, padding: 'x'.repeat(200) });
    expect(large.status).toBe(413);
    expect((await router.post({ ...QUESTION, model: 'coder' })).status).toBe(403);
    const refused = await router.post(QUESTION, { headers: { 'x-request-id': 'third' } });
    expect(refused.status).toBe(429);
    const expected = { ...WHO, request_id: 'third', route: 'chat/completions', status: 429 };
    expect(await oneOf('request', 'rate_limited')).toMatchObject({
      ...expected,
      ...{ outcome: 'refused', error_class: 'rate_limited' },
    });
    const lines = router.logged('request refused');
    expect(lines.map(({ code }) => code)).toEqual([
      'status_405',
      'body_too_large',
      'forbidden',
      'rate_limited',
    ]);
    for (const line of lines) expect(line).toMatchObject(WHO);
    expect(lines.at(-1)).toMatchObject(expected);
    expect((await audited('request')).map((data) => data['status'])).toEqual([405, 413, 403, 429]);
  });

  it('is an address where nothing came that could be read as a request', async () => {
    const router = await started({});
    const large = `GET /v1/models HTTP/1.1\r\nhost: localhost\r\nx-padding: ${'x'.repeat(64 << 10)}\r\n\r\n`;
    expect(await said(router, large)).toContain('431');
    expect(await said(router, 'what is this?\r\n\r\n')).toContain('400');
    const who = { transport: 'plain', address: '127.0.0.1', outcome: 'refused' };
    expect(await oneOf('request', 'headers_too_large')).toMatchObject({ ...who, status: 431 });
    expect(await oneOf('request', 'invalid_request')).toMatchObject({ ...who, status: 400 });
    const codes = router.logged('request refused').map(({ code }) => code);
    expect(codes).toEqual(['headers_too_large', 'invalid_request']);
  });

  it('is a few lines and a number when it is a flood', async () => {
    const router = await started({ requests_per_minute: 1 });
    expect((await router.post(QUESTION)).status).toBe(200);
    const count = 20 * REFUSALS_LISTED_MAX;
    const statuses = await Promise.all(
      Array.from({ length: count }, async () => (await router.post(QUESTION)).status),
    );
    expect(new Set(statuses)).toEqual(new Set([429]));
    const listedNow = async (): Promise<number> =>
      (await audited('request')).filter((data) => data['status'] === 429).length;
    const listed = await waitUntil(
      async () => {
        const counted = (await audited('refusals')).reduce((sum, data) => sum + countOf(data), 0);
        const found = await listedNow();
        return counted > 0 && found + counted === count ? found : undefined;
      },
      { what: 'every refusal is listed or counted' },
    );
    expect(router.logged('request refused')).toHaveLength(listed);
    expect(router.logged('more requests refused').length).toBeGreaterThan(0);
  });

  it('is named in what the log says of a failover, too', async () => {
    const router = await started({});
    expect((await router.post({ ...QUESTION, model: 'coder' })).status).toBe(200);
    expect(router.logged('failover_attempt')[0]).toMatchObject(WHO);
    expect(router.logged('failed over from primary')[0]).toMatchObject(WHO);
  });
});

function countOf(data: AuditLine['data']): number {
  return Number(data['count'] ?? 0);
}
