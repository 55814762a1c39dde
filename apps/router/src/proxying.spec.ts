import { request as httpRequest } from 'node:http';
import { once } from 'node:events';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { UpstreamProgram, waitUntil } from '@sanctum/testing';
import { ownPort } from './own-port.fixture.js';
import { startTestRouter, type TestRouter } from './router.fixture.js';

const MESSAGES = [{ role: 'user', content: 'What is 2+2?' }];
const SECRET = 'sk-upstream-0123456789';

describe('proxying', () => {
  let upstream: UpstreamProgram;
  let router: TestRouter;
  let strict: TestRouter;

  beforeAll(async () => {
    upstream = await UpstreamProgram.start();
    const backends = {
      council: {
        url: upstream.url('well'),
        models: ['padawan', 'council-*'],
        default_model: 'padawan-q4',
        description: 'the household',
      },
      coder: { url: upstream.url('echo'), models: ['coder-7b'], api_key_env: 'CODER_KEY' },
      zipped: { url: upstream.url('gzip'), models: ['zipped'] },
    };
    const settings = { backends, default: 'council', intent_keywords: { coder: ['debug'] } };
    const environment = { CODER_KEY: SECRET };
    router = await startTestRouter({ router: settings, environment });
    strict = await startTestRouter({ router: { ...settings, strict_models: true }, environment });
  });
  afterAll(async () => {
    await Promise.all([router.stop(), strict.stop()]);
    await upstream.kill();
  });
  beforeEach(() => {
    upstream.requests.length = 0;
  });

  const received = () => {
    const last = upstream.requests.at(-1);
    if (last === undefined) throw new Error('The upstream received nothing.');
    return last;
  };

  describe('choice', () => {
    it.each([
      ['padawan', 'council', 'exact'],
      ['council', 'council', 'exact'],
      ['council-yoda', 'council', 'glob'],
      ['coder-7b', 'coder', 'exact'],
    ])('%s goes to %s by %s', async (model, backend, rule) => {
      const answer = await router.post({ model, messages: MESSAGES });
      expect(answer.status).toBe(200);
      expect(answer.headers.get('x-sanctum-backend')).toBe(backend);
      expect(answer.headers.get('x-sanctum-rule')).toBe(rule);
      expect(answer.headers.get('x-sanctum-url-index')).toBe('0');
      expect(answer.headers.has('x-sanctum-model-unknown')).toBe(false);
    });

    it('follows the intent of the last user message when the model is left open', async () => {
      const messages = [...MESSAGES, { role: 'user', content: 'Debug this' }];
      for (const body of [{ messages }, { model: 'auto', messages }]) {
        const answer = await router.post(body);
        expect(answer.headers.get('x-sanctum-backend')).toBe('coder');
        expect(answer.headers.get('x-sanctum-rule')).toBe('intent');
      }
    });

    it('says when a name is unknown, or refuses it when strict', async () => {
      const lenient = await router.post({ model: 'gpt-9', messages: MESSAGES });
      expect(lenient.headers.get('x-sanctum-model-unknown')).toBe('true');
      expect(lenient.headers.get('x-sanctum-rule')).toBe('default');
      const refused = await strict.post({ model: 'gpt-9', messages: MESSAGES });
      expect(refused.status).toBe(404);
      expect(await refused.json()).toMatchObject({
        error: { code: 'model_not_found', param: 'model', source: 'router' },
      });
      expect(upstream.requests).toHaveLength(1);
    });
  });

  describe('the body', () => {
    it('reaches the upstream byte for byte, but for the model', async () => {
      const body = `{ "temperature": 0.10, "model"\n: "padawan", "messages": [ {"role":"user","content":"\\u00e9 é 😀"} ] }`;
      await router.post(body);
      expect(received().body.toString()).toBe(body.replace('"padawan"', '"padawan-q4"'));
    });

    it('is untouched where the backend declares no model of its own', async () => {
      const body = '{"model" : "coder-7b","messages":[]}';
      await router.post(body);
      expect(received().body.toString()).toBe(body);
    });

    it('gets the model of the backend where it had none', async () => {
      await router.post('{"messages":[]}');
      expect(received().body.toString()).toBe('{"model":"padawan-q4","messages":[]}');
    });

    it('may be ten megabytes', async () => {
      const content = 'x'.repeat(10 << 20);
      const body = JSON.stringify({ messages: [{ role: 'user', content }], model: 'padawan' });
      const answer = await router.post(body);
      expect(answer.status).toBe(200);
      expect(received().bodyBytes).toBe(body.length + '-q4'.length);
    });
  });

  describe('headers', () => {
    it('carries a request id through, and traceparent, and drops what is not for upstreams', async () => {
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
      const headers = {
        'x-request-id': 'my-request.1',
        traceparent,
        authorization: 'Bearer client-secret',
        cookie: 'a=b',
        'x-forwarded-for': '1.2.3.4',
        'accept-encoding': 'gzip',
        'x-custom': 'kept',
      };
      const answer = await router.post({ model: 'padawan', messages: MESSAGES }, { headers });
      expect(answer.headers.get('x-request-id')).toBe('my-request.1');
      expect(answer.headers.get('x-sanctum-request-id')).toBe('my-request.1');
      expect(answer.headers.get('x-sanctum-model-digest')).toBe('sha256:0123');
      const told = received().headers;
      expect(told).toMatchObject({
        'x-request-id': 'my-request.1',
        traceparent,
        'x-custom': 'kept',
      });
      expect(told['host']).toBe(`127.0.0.1:${upstream.port}`);
      for (const name of ['authorization', 'cookie', 'x-forwarded-for', 'accept-encoding']) {
        expect(told[name]).toBeUndefined();
      }
    });

    it.each(['', 'with space', 'x'.repeat(129), 'a"b'])('mints an id instead of %j', async (id) => {
      const init = { headers: { 'x-request-id': id } };
      const answer = await router.post({ model: 'padawan', messages: MESSAGES }, init);
      const minted = answer.headers.get('x-request-id');
      expect(minted).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
      expect(received().headers['x-request-id']).toBe(minted);
    });

    it('gives the key of the backend to the upstream and to nobody else', async () => {
      const answer = await router.post({ model: 'coder-7b', messages: MESSAGES });
      expect(received().headers['authorization']).toBe(`Bearer ${SECRET}`);
      expect([...answer.headers].flat().join(' ')).not.toContain(SECRET);
      const shown = await Promise.all(
        ['/v1/backends', '/v1/models', '/health', '/metrics'].map(async (path) =>
          (await router.get(path)).text(),
        ),
      );
      expect(shown.join(' ') + JSON.stringify(router.logs)).not.toContain(SECRET);
    });
  });

  describe('pass-through', () => {
    it.each([
      ['GET', '/v1/files?limit=2', ''],
      ['DELETE', '/v1/files/abc', ''],
      ['POST', '/v1/embeddings', '{"model":"coder-7b","input":"x"}'],
    ])('%s %s goes on as it is', async (method, path, body) => {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(router.url + path, {
        method,
        ...(body === '' ? {} : { body, headers }),
      });
      await answer.text();
      expect(received()).toMatchObject({ method, path });
      expect(received().body.toString()).toBe(body);
    });

    it('chooses by the model of a JSON body on any path', async () => {
      const answer = await fetch(`${router.url}/v1/embeddings`, {
        method: 'POST',
        headers: { 'content-type': 'application/json; charset=utf-8' },
        body: '{"model":"coder-7b","input":"x"}',
      });
      expect(answer.headers.get('x-sanctum-backend')).toBe('coder');
      expect(await answer.json()).toMatchObject({ url: '/echo/v1/embeddings' });
    });

    it('hands on bytes that are no JSON', async () => {
      const audio = Buffer.from([0, 255, 1, 254]);
      const headers = { 'content-type': 'audio/wav' };
      await fetch(`${router.url}/v1/audio/transcriptions`, {
        method: 'POST',
        headers,
        body: audio,
      });
      expect(received().body.equals(audio)).toBe(true);
    });

    it('hands on an encoded answer as it is', async () => {
      const target = httpRequest(`${router.url}/v1/chat/completions`, { method: 'POST' });
      target.end(JSON.stringify({ model: 'zipped', messages: MESSAGES }));
      const [answer] = (await once(target, 'response')) as [
        AsyncIterable<Buffer> & { headers: object },
      ];
      const pieces: Buffer[] = [];
      for await (const piece of answer) pieces.push(piece);
      expect(answer.headers).toMatchObject({ 'content-encoding': 'gzip' });
      expect(gunzipSync(Buffer.concat(pieces)).toString()).toContain('2 + 2 equals 4.');
    });

    it.each(['/v1/../admin', '/v1/%2e%2e/admin', '/v1/a/%2E./b', '/v1//admin', '/v1/a\\..\\b'])(
      '%s is refused',
      async (path) => {
        const target = httpRequest({ port: router.port, host: '127.0.0.1', path });
        target.end();
        const [answer] = (await once(target, 'response')) as [
          { statusCode: number; resume(): void },
        ];
        answer.resume();
        expect(answer.statusCode).toBe(400);
        expect(upstream.requests).toEqual([]);
      },
    );
  });

  describe('bad input', () => {
    it.each<[string, string | Uint8Array, string]>([
      ['malformed JSON', '{"model":"padawan","messages":[', 'not valid JSON'],
      ['no JSON at all', 'hello', 'not valid JSON'],
      ['nothing', '', 'not valid JSON'],
      ['an array', '[]', 'must be a JSON object, found array'],
      ['a string', '"x"', 'must be a JSON object, found string'],
      ['null', 'null', 'must be a JSON object, found null'],
      ['a number as model', '{"model":3}', '"model" must be a string, found number'],
      ['an object as model', '{"model":{}}', '"model" must be a string, found object'],
      ['a string as stream', '{"stream":"yes"}', '"stream" must be true or false, found string'],
      ['invalid UTF-8', Buffer.from('7b226d223a22ff227d', 'hex'), 'not valid UTF-8'],
    ])('%s is refused before any upstream is asked', async (_name, body, message) => {
      const answer = await router.post(body);
      expect(answer.status).toBe(400);
      const { error } = (await answer.json()) as { error: { message: string } };
      expect(error).toMatchObject({ type: 'invalid_request_error', source: 'router' });
      expect(error.message).toContain(message);
      expect(upstream.requests).toEqual([]);
    });

    it('never quotes the body in an error or a log line', async () => {
      const answer = await router.post('{"messages":[{"content":"my-private-words" oops');
      expect(await answer.text()).not.toContain('private');
      expect(JSON.stringify(router.logs)).not.toContain('private');
    });

    it.each([
      ['nested a million deep', `{"x":${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}}`],
      ['of a million objects', `{"x":[${'{},'.repeat(1_000_000)}0]}`],
    ])('refuses JSON %s without parsing it', async (_name, body) => {
      const answer = await router.post(body);
      expect(answer.status).toBe(400);
      expect(await answer.text()).toContain('more than 500000 JSON objects');
      expect(upstream.requests).toEqual([]);
    });

    it.each([
      ['unknown roles', { messages: [{ role: 'wizard', content: 'x' }] }],
      ['empty messages', { messages: [] }],
      ['a negative max_tokens', { messages: MESSAGES, max_tokens: -1 }],
    ])('%s are the judgement of the upstream, and arrive there', async (_name, body) => {
      await router.post(body);
      expect(JSON.parse(received().body.toString())).toEqual({ ...body, model: 'padawan-q4' });
    });
  });

  describe('control endpoints', () => {
    it('lists every name a client may send', async () => {
      const data = await waitUntil(
        async () => {
          const answer = await router.get('/v1/models');
          const listed = (await answer.json()) as { data: { id: string; owned_by: string }[] };
          return listed.data.length >= 9 && listed.data;
        },
        { what: 'every upstream has said what it serves' },
      );
      expect(data.map(({ id, owned_by }) => [id, owned_by])).toEqual([
        ['council', 'council'],
        ['padawan', 'council'],
        ['padawan-q4', 'council'],
        ['well-model', 'council'],
        ['coder', 'coder'],
        ['coder-7b', 'coder'],
        ['echo-model', 'coder'],
        ['zipped', 'zipped'],
        ['gzip-model', 'zipped'],
      ]);
      expect(await (await router.get('/v1/models/padawan')).json()).toMatchObject({
        id: 'padawan',
      });
      expect((await router.get('/v1/models/org/none')).status).toBe(404);
    });

    it('explains a route in JSON and in words', async () => {
      const answer = await router.get('/v1/route?model=council-yoda');
      expect(await answer.json()).toMatchObject({
        decision: { kind: 'routed', backend: 'council', rule: 'glob' },
        explanation: expect.arrayContaining(['Routed to council by glob.']) as unknown,
        upstreams: [{ url: upstream.url('well'), model: 'padawan-q4' }],
      });
      const words = await router.get('/v1/route?prompt=debug+this', {
        headers: { accept: 'text/plain' },
      });
      expect(await words.text()).toContain('intent: coder matched by "debug".');
      expect((await router.get('/v1/route?model=a&model=b')).status).toBe(400);
      const posted = await router.get('/v1/route', { method: 'POST' });
      expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    });

    it('shows backends with their limits and whether they answer', async () => {
      expect(await (await router.get('/v1/backends')).json()).toMatchObject({
        default: 'council',
        strict_models: false,
        backends: [
          {
            name: 'council',
            description: 'the household',
            available: true,
            healthy: true,
            urls: [{ transport: 'plain-loopback', has_key: false, first_byte_s: 120 }],
          },
          { name: 'coder', urls: [{ transport: 'bearer', has_key: true }] },
          { name: 'zipped' },
        ],
      });
    });

    it('measures', async () => {
      await router.post({ model: 'padawan', messages: MESSAGES });
      const samples = [
        'sanctum_router_http_requests_total{route="chat/completions",status="2xx"}',
        'sanctum_router_routing_decisions_total{rule="exact",backend="council"}',
        'sanctum_router_overhead_seconds_count',
        'sanctum_router_time_to_first_content_seconds_count{backend="council"}',
      ];
      for (const sample of samples) expect(await router.metric(sample)).toBeGreaterThan(0);
      expect(await router.metric('sanctum_router_inflight_requests')).toBe(0);
    });

    it('answers elsewhere with 404 in the envelope', async () => {
      const answer = await router.get('/nothing');
      expect(answer.status).toBe(404);
      expect(await answer.json()).toMatchObject({ error: { source: 'router' } });
    });
  });
});

describe('health', () => {
  it('is good while any URL of the default backend answers', async () => {
    const upstream = await UpstreamProgram.start({ port: await ownPort() });
    const spare = await UpstreamProgram.start({ port: await ownPort() });
    const backends = {
      council: { url: upstream.url('well'), fallback_urls: [spare.url('well')] },
      other: { url: 'http://127.0.0.1:1/v1' },
    };
    const settings = { router: { backends } };
    const first = await startTestRouter(settings);
    expect((await first.get('/health')).status).toBe(200);
    await first.stop();
    await upstream.kill();
    const second = await startTestRouter(settings);
    const answer = await second.get('/health');
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({
      status: 'healthy',
      backends: [
        { name: 'council', healthy: true, urls: [{ answers: false }, { answers: true }] },
        { name: 'other', healthy: false, urls: [{ answers: false, detail: 'ECONNREFUSED' }] },
      ],
    });
    await second.stop();
    await spare.kill();
    const third = await startTestRouter(settings);
    expect((await third.get('/health')).status).toBe(503);
    await third.stop();
  });
});
