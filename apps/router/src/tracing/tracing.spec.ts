import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { UpstreamProgram, waitUntil } from '@sanctum/testing';
import { DEFAULT_LIMITS } from '../limits.js';
import { ownPort } from '../own-port.fixture.js';
import { startTestRouter, type TestRouter, type TestRouterOptions } from '../router.fixture.js';
import { OtlpCollector } from './otlp-collector.fixture.js';

const NOWHERE = 'http://127.0.0.1:9/v1';
const MESSAGES = [{ role: 'user', content: 'What is 2+2?' }];
const CHAT = { model: 'm', messages: MESSAGES };
const STREAM = { ...CHAT, stream: true };
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLER = '00f067aa0ba902b7';

let upstream: UpstreamProgram;
let collector: OtlpCollector;
let router: TestRouter;

beforeAll(async () => {
  upstream = await UpstreamProgram.start();
});
afterAll(() => upstream.kill());
beforeEach(async () => {
  collector = await OtlpCollector.start();
});
afterEach(async () => {
  await router.stop();
  await collector.stop();
});

function backend(behaviours: readonly string[], more: object = {}): object {
  const [url = '', ...fallback_urls] = behaviours.map((one) =>
    one.startsWith('http') ? one : upstream.url(one),
  );
  return { url, fallback_urls, models: ['m'], default_model: 'upstream-m', ...more };
}

/** A router whose one backend behaves so, and that sends its spans at once. */
async function start(behaviours: readonly string[], more: Partial<TestRouterOptions> = {}) {
  router = await startTestRouter({
    router: { default: 'council', backends: { council: backend(behaviours) } },
    ...more,
    environment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_BSP_SCHEDULE_DELAY: '10',
      ...more.environment,
    },
  });
}

/** Asks, reads the answer whole, and waits for its spans. */
async function traced(body: object = CHAT, headers: Record<string, string> = {}) {
  const id = randomBytes(8).toString('hex');
  const answer = await router.post(body, { headers: { 'x-request-id': id, ...headers } });
  await answer.text().catch(() => '');
  return { status: answer.status, ...(await collector.request(id)) };
}

describe('the spans of a request', () => {
  it('say who asked for what, who answered, and what it cost', async () => {
    await start(['well'], {
      environment: {
        OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20abc',
        OTEL_SERVICE_NAME: 'front',
        OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=home',
      },
    });
    const { server, attempts } = await traced();
    expect(server).toMatchObject({ name: 'chat m', kind: 'server', parentSpanId: '' });
    expect(server.failed).toBe(false);
    expect(server.attributes).toMatchObject({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'council',
      'gen_ai.request.model': 'm',
      'gen_ai.response.model': 'upstream-m',
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.usage.input_tokens': 12,
      'gen_ai.usage.output_tokens': 8,
      'enduser.id': 'local',
      'http.request.method': 'POST',
      'http.response.status_code': 200,
      'server.address': '127.0.0.1',
      'server.port': router.port,
      'sanctum.backend': 'council',
      'sanctum.rule': 'exact',
      'sanctum.transport': 'plain-loopback',
      'sanctum.url_index': 0,
      'sanctum.attempts': 1,
      'sanctum.model_digest': 'sha256:0123',
    });
    expect(server.attributes).not.toHaveProperty(['error.type']);
    expect(server.resource).toMatchObject({
      'service.name': 'front',
      'deployment.environment.name': 'home',
      'telemetry.sdk.language': 'nodejs',
    });
    const [attempt, ...more] = attempts;
    expect(more).toEqual([]);
    expect(attempt).toMatchObject({ name: 'chat upstream-m', kind: 'client', failed: false });
    expect(attempt?.traceId).toBe(server.traceId);
    expect(attempt?.durationMs).toBeLessThanOrEqual(server.durationMs);
    expect(attempt?.attributes).toMatchObject({
      'gen_ai.request.model': 'upstream-m',
      'server.address': '127.0.0.1',
      'server.port': upstream.port,
      'http.response.status_code': 200,
      'sanctum.outcome_class': 'success',
    });
    expect(collector.headers[0]).toMatchObject({
      ':path': '/v1/traces',
      authorization: 'Bearer abc',
      'content-type': 'application/x-protobuf',
    });
  });

  it('of a stream hold its usage, its finish reason and how long its first content took', async () => {
    await start(['well']);
    const { server } = await traced(STREAM);
    expect(server.attributes).toMatchObject({
      'gen_ai.request.stream': true,
      'gen_ai.response.model': 'mock',
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.usage.output_tokens': 2,
    });
    const seconds = Number(server.attributes['gen_ai.response.time_to_first_chunk']);
    expect(seconds).toBeGreaterThan(0);
    expect(seconds * 1000).toBeLessThanOrEqual(server.durationMs);
  });

  it('show each attempt of a failover', async () => {
    await start([NOWHERE, 'status-503', 'well']);
    const { status, server, attempts } = await traced();
    expect(status).toBe(200);
    expect(server.failed).toBe(false);
    expect(server.attributes).toMatchObject({ 'sanctum.attempts': 3, 'sanctum.url_index': 2 });
    expect(attempts.map(({ failed }) => failed)).toEqual([true, true, false]);
    expect(attempts.map(({ attributes }) => attributes['error.type'])).toEqual([
      'ECONNREFUSED',
      'status_503',
      undefined,
    ]);
    expect(attempts.map(({ attributes }) => attributes['http.request.resend_count'])).toEqual([
      undefined,
      1,
      2,
    ]);
    expect(attempts[0]?.attributes['server.port']).toBe(9);
  });

  it.each([
    { what: 'when nobody answers', urls: [NOWHERE, NOWHERE], status: 502, type: 'ECONNREFUSED' },
    { what: 'of an error that is passed on', urls: ['status-500'], status: 500 },
    { what: 'of a mistake of the client', urls: ['status-404'], status: 404, failed: false },
    { what: 'of a model that is none', model: 7, status: 400, type: '400', failed: false },
    { what: 'of a stream that breaks off', urls: ['die-midway'], type: 'UND_ERR_SOCKET' },
    { what: 'of an answer that says nothing', urls: ['empty-stream'], type: 'empty_content' },
  ])('tell the error $what', async ({ urls = ['well'], model = 'm', status = 200, ...more }) => {
    await start(urls);
    const { type = `status_${status}`, failed = true } = more;
    const { server } = await traced({ ...STREAM, model });
    expect(server.attributes).toMatchObject({
      'http.response.status_code': status,
      'error.type': type,
    });
    expect(server.failed).toBe(failed);
  });

  it('count a wait for the only URL as one attempt', async () => {
    const port = await ownPort();
    // However long a program takes to start on a busy machine.
    const patient = { timeouts: { connect_s: 60 } };
    const council = backend([`http://127.0.0.1:${port}/well/v1`], patient);
    await start([], { router: { backends: { council } } });
    const answered = traced();
    await waitUntil(() => router.logged('waiting for the only upstream').length > 0, {
      what: 'the router waits',
    });
    const back = await UpstreamProgram.start({ port });
    const { status, server, attempts } = await answered;
    await back.kill();
    expect(status).toBe(200);
    expect(server.attributes).toMatchObject({ 'sanctum.attempts': 1 });
    expect(attempts).toMatchObject([{ failed: false }]);
    expect(back.requests[0]?.headers['traceparent']).toContain(attempts[0]?.spanId);
  });

  it('end when the client leaves', async () => {
    await start(['stall-midway']);
    const leave = new AbortController();
    const answer = await router.post(STREAM, {
      headers: { 'x-request-id': 'left' },
      signal: leave.signal,
    });
    await answer.body?.getReader().read();
    leave.abort();
    const { server, attempts } = await collector.request('left');
    expect(server.attributes).toMatchObject({ 'error.type': 'cancelled' });
    expect(server.failed).toBe(false);
    expect(attempts).toMatchObject([{ attributes: { 'error.type': 'cancelled' }, failed: false }]);
  });

  it('name other operations by the conventions, and the rest by its method', async () => {
    await start(['well']);
    for (const [path, name] of [
      ['completions', 'text_completion m'],
      ['embeddings', 'embeddings m'],
      ['responses', 'chat m'],
      ['rerank', 'POST'],
    ] as const) {
      const answer = await fetch(`${router.url}/v1/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-request-id': path },
        body: JSON.stringify({ model: 'm', prompt: 'x', input: 'x' }),
      });
      await answer.text();
      expect((await collector.request(path)).server.name).toBe(name);
    }
  });
});

describe('trace context', () => {
  const sent = () => upstream.requests.at(-1)?.headers ?? {};

  it('comes from the client and goes to each upstream, with the attempt as its parent', async () => {
    await start(['status-503', 'well']);
    const { server, attempts } = await traced(CHAT, {
      traceparent: `00-${TRACE}-${CALLER}-01`,
      tracestate: 'vendor=1',
    });
    expect(server).toMatchObject({ traceId: TRACE, parentSpanId: CALLER, traceState: 'vendor=1' });
    const asked = upstream.requests.slice(-2).map(({ headers }) => headers['traceparent']);
    expect(asked).toEqual(attempts.map(({ spanId }) => `00-${TRACE}-${spanId}-01`));
    expect(sent()['tracestate']).toBe('vendor=1');
  });

  it('begins here without one, or with one that is none', async () => {
    await start(['well']);
    for (const traceparent of ['', 'nonsense', `00-${'0'.repeat(32)}-${CALLER}-01`]) {
      const { server, attempts } = await traced(CHAT, traceparent === '' ? {} : { traceparent });
      expect(server.parentSpanId).toBe('');
      expect(sent()['traceparent']).toBe(`00-${server.traceId}-${attempts[0]?.spanId}-01`);
    }
  });

  it('that is not sampled is passed on, and nothing is sent', async () => {
    await start(['well']);
    const headers = { traceparent: `00-${TRACE}-${CALLER}-00` };
    await (await router.post(CHAT, { headers })).text();
    expect(sent()['traceparent']).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
    await traced();
    expect(collector.spans.filter(({ traceId }) => traceId === TRACE)).toEqual([]);
  });

  it('passes untouched where nobody collects', async () => {
    await start(['well'], { environment: { OTEL_EXPORTER_OTLP_ENDPOINT: '' } });
    const traceparent = `00-${TRACE}-${CALLER}-01`;
    await (await router.post(CHAT, { headers: { traceparent } })).text();
    expect(sent()['traceparent']).toBe(traceparent);
    await (await router.post(CHAT)).text();
    expect(sent()).not.toHaveProperty('traceparent');
    await router.stop();
    expect(collector.bodies).toEqual([]);
  });
});

describe('no word of a prompt or an answer', () => {
  it('is in what is sent, nor a credential', async () => {
    await start(['echo', 'well']);
    const word = `word${randomBytes(12).toString('hex')}`;
    const body = {
      ...{ model: 'm', messages: [{ role: 'user', content: word }], user: word, stop: [word] },
      tools: [{ type: 'function', function: { name: word } }],
    };
    const headers = {
      ...{ authorization: `Bearer ${word}`, cookie: word, 'x-note': word, baggage: `a=${word}` },
    };
    await traced(body, headers);
    const answer = await fetch(`${router.url}/v1/chat/completions?key=${word}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'query' },
      body: `{"messages": "${word}`,
    });
    expect(answer.status).toBe(400);
    await collector.request('query');
    expect(collector.spans.length).toBeGreaterThanOrEqual(3);
    const all = Buffer.concat(collector.bodies).toString('latin1');
    expect(all).toContain('sanctum.backend');
    expect(all).not.toContain(word);
  });
});

describe('a collector', () => {
  it('gets what waits when the router stops', async () => {
    await start(['well'], { environment: { OTEL_BSP_SCHEDULE_DELAY: '60000' } });
    await (await router.post(CHAT)).text();
    await waitUntil(async () => (await router.metric('sanctum_router_inflight_requests')) === 0, {
      what: 'the request ends',
    });
    expect(collector.spans).toEqual([]);
    await router.stop();
    expect(collector.spans.map(({ kind }) => kind).sort()).toEqual(['client', 'server']);
  });

  it.each(['away', 'never', 'status-400'] as const)(
    'that is of no use (%s) costs no request and no stop',
    async (how) => {
      const away = { OTEL_EXPORTER_OTLP_ENDPOINT: NOWHERE };
      if (how !== 'away') collector.behaviour = how;
      await start(['well'], {
        environment: { OTEL_EXPORTER_OTLP_TIMEOUT: '200', ...(how === 'away' ? away : {}) },
      });
      for (let round = 0; round < 5; round++) {
        const answer = await router.post(CHAT);
        expect(answer.status).toBe(200);
        await answer.text();
      }
      await waitUntil(() => router.logged('traces_not_exported').length > 0, {
        what: 'the log says that spans were not exported',
      });
      expect(router.logged('traces_not_exported')).toHaveLength(1);
      const beganMs = performance.now();
      await router.stop();
      expect(performance.now() - beganMs).toBeLessThan(DEFAULT_LIMITS.drainMs / 2);
    },
  );

  it('is sent no more than the queue holds; the rest is dropped', async () => {
    await start(['well'], {
      environment: {
        OTEL_BSP_MAX_QUEUE_SIZE: '4',
        OTEL_BSP_SCHEDULE_DELAY: '60000',
        OTEL_EXPORTER_OTLP_TIMEOUT: '60000',
      },
    });
    collector.behaviour = 'held';
    const ask = async () => (await router.post(CHAT)).text();
    // The first four spans go out and are not answered yet, the next four wait.
    await Promise.all([collector.arrival(), ask().then(ask)]);
    for (let round = 0; round < 10; round++) expect(await ask()).toContain('2 + 2 equals 4.');
    expect(collector.spans).toEqual([]);
    collector.release();
    await router.stop();
    expect(collector.spans).toHaveLength(8);
  });

  it('that is named wrongly stops the start', async () => {
    await start(['well']);
    const environment = { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' };
    const wrong = startTestRouter({
      router: { backends: { council: backend(['well']) } },
      environment,
    });
    await expect(wrong).rejects.toMatchObject({
      code: 'config_invalid',
      param: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    });
  });
});
