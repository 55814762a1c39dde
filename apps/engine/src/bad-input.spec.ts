import { once } from 'node:events';
import { connect } from 'node:net';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { waitUntil } from '@sanctum/testing';
import { chat, EngineProcess, SseReader } from './testing/engine-process.js';
import { ENDLESS, limitedHome } from './testing/sealed-model.js';

let home: string;
let engine: EngineProcess;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'sanctum-engine-'));
  await limitedHome(home, { queue: 64 });
  engine = await EngineProcess.start([], { SANCTUM_HOME: home });
});

afterAll(async () => {
  expect((await engine.stop()).code).toBe(0);
  rmSync(home, { recursive: true });
});

/** What one client may have open: three quarters of 64 queued and 8 running. */
const PLACES = 54;

interface Refusal {
  readonly error: { readonly code: string; readonly message: string; readonly source: string };
}

async function refusal(response: Response): Promise<Refusal['error'] & { status: number }> {
  const { error } = (await response.json()) as Refusal;
  expect(error.source).toBe('engine');
  return { ...error, status: response.status };
}

function post(
  body: string | Uint8Array<ArrayBuffer>,
  path = '/v1/chat/completions',
): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(`${engine.url}${path}`, { method: 'POST', headers, body });
}

const message = { role: 'user', content: 'hello' };

describe('a request that is wrong', () => {
  it.each([
    ['malformed JSON', '{"messages": [', /not valid JSON/],
    ['an empty body', '', /not valid JSON|body/],
    ['NaN as a number', '{"messages":[{"role":"user","content":"a"}],"temperature":NaN}', /JSON/],
    [
      'an infinite number',
      '{"messages":[{"role":"user","content":"a"}],"temperature":1e999}',
      /temp/,
    ],
    ['a body that is no object', '[]', /expected an object/],
    ['deep nesting', `{"messages":${'['.repeat(200_000)}`, /not valid JSON/],
  ])('%s', async (_what, body, text) => {
    const error = await refusal(await post(body));
    expect(error).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(error.message).toMatch(text);
  });

  it.each([
    ['messages of the wrong type', { messages: 'hi' }, 'messages'],
    ['no messages', {}, 'messages'],
    ['empty messages', { messages: [] }, 'messages'],
    ['an unknown role', { messages: [{ role: 'king', content: 'a' }] }, 'messages[0].role'],
    [
      'content of the wrong type',
      { messages: [{ role: 'user', content: 7 }] },
      'messages[0].content',
    ],
    [
      'a lone surrogate',
      { messages: [{ role: 'user', content: '\ud800' }] },
      'messages[0].content',
    ],
    ['negative max_tokens', { messages: [message], max_tokens: -1 }, 'max_tokens'],
    ['a temperature as text', { messages: [message], temperature: 'NaN' }, 'temperature'],
    ['a temperature out of range', { messages: [message], temperature: 3 }, 'temperature'],
    ['two answers', { messages: [message], n: 2 }, 'n'],
    ['tools', { messages: [message], tools: [{ type: 'function' }] }, 'tools'],
    [
      'a schema',
      { messages: [message], response_format: { type: 'json_object' } },
      'response_format',
    ],
  ])('%s', async (_what, body, param) => {
    const response = await post(JSON.stringify(body));
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { param, source: 'engine' } });
  });

  it.each([
    ['GET', '/v1/chat/completions', 'POST'],
    ['DELETE', '/v1/models', 'GET, HEAD'],
    ['PUT', '/v1/models/padawan', 'GET, HEAD'],
    ['GET', '/admin/drain', 'POST'],
  ])('the method: %s %s', async (method, path, allow) => {
    const response = await fetch(`${engine.url}${path}`, { method });
    expect(response.headers.get('allow')).toBe(allow);
    expect(await refusal(response)).toMatchObject({ status: 405, code: 'method_not_allowed' });
  });

  it('an unknown model', async () => {
    const error = await refusal(await chat(engine.url, { model: 'gpt-9' }));
    expect(error).toMatchObject({ status: 404, code: 'model_not_found' });
    expect(error.message).toContain('"padawan"');
  });

  it('a body of another type than JSON', async () => {
    const body = new URLSearchParams({ messages: '[]' });
    const response = await fetch(`${engine.url}/v1/chat/completions`, { method: 'POST', body });
    const error = await refusal(response);
    expect(error).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(error.message).toContain('Content-Type: application/json');
  });

  it('bytes that are not UTF-8', async () => {
    const text = Buffer.from('{"messages":[{"role":"user","content":"?"}]}');
    text[text.indexOf('?')] = 0xff;
    const error = await refusal(await post(text));
    expect(error).toMatchObject({ status: 400, message: 'The body is not valid UTF-8.' });
  });

  it('a prompt of 10 MB', async () => {
    const content = 'a '.repeat(5 * 1024 * 1024);
    const error = await refusal(await chat(engine.url, { messages: [{ role: 'user', content }] }));
    expect(error).toMatchObject({ status: 413, code: 'body_too_large' });
  });

  it.each([
    ['by its bytes, before it is tokenised', 3 * 1024 * 1024],
    ['by its tokens', 60_000],
  ])('a prompt beyond the context, known %s', async (_how, bytes) => {
    const content = '7'.repeat(bytes);
    const error = await refusal(await chat(engine.url, { messages: [{ role: 'user', content }] }));
    expect(error).toMatchObject({ status: 400, code: 'context_length_exceeded' });
  });

  it.each([
    [999_999_999, 'prompt'],
    [2 ** 32 + 5, 'prompt[0]'],
  ])('a token id that the vocabulary does not have: %d', async (token, param) => {
    const response = await post(JSON.stringify({ prompt: [token] }), '/v1/completions');
    expect(await refusal(response)).toMatchObject({ status: 400, code: 'invalid_request', param });
  });

  it('headers that are too large', async () => {
    const response = await fetch(`${engine.url}/v1/models`, {
      headers: { 'x-padding': 'a'.repeat(20_000) },
    });
    expect(await refusal(response)).toMatchObject({ status: 431, code: 'headers_too_large' });
  });

  it('a body that comes too slowly', async () => {
    const file = readFileSync(join(home, 'instance.yaml'), 'utf8');
    const hasty = join(home, 'hasty');
    mkdirSync(hasty);
    writeFileSync(join(hasty, 'instance.yaml'), file.replace('"queue":64', '"request_read_s":1'));
    const strict = await EngineProcess.start([], { SANCTUM_HOME: hasty });
    const { port } = strict.address('plain');
    const socket = connect(port, '127.0.0.1');
    socket.write(
      'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n' +
        'content-length: 1000\r\n\r\n{"messages"',
    );
    let answer = '';
    socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
    await once(socket, 'close');
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(answer).toContain('"request_timeout"');
    expect((await strict.stop()).code).toBe(0);
  });
});

describe('a client that leaves', () => {
  it('frees its place and stops the computing, before and within its answer', async () => {
    const reader = new SseReader(await chat(engine.url, ENDLESS));
    await reader.events(1);
    await engine.openRequests(1);
    await reader.cancel();
    await engine.openRequests(0);
    const leaving = new AbortController();
    const answer = chat(engine.url, { ...ENDLESS, stream: false }, { signal: leaving.signal });
    await engine.openRequests(1);
    leaving.abort();
    await expect(answer).rejects.toThrow(/abort/i);
    await engine.openRequests(0);
    const text = await (await fetch(`${engine.url}/metrics`)).text();
    expect(text).toMatch(/inference_requests_total\{stop_reason="cancelled",stream="true"\} 1/);
    expect(text).toMatch(/inference_requests_total\{stop_reason="cancelled",stream="false"\} 1/);
  });
});

describe('a thousand requests at once', () => {
  it('are each answered or told to come back, and the engine stays small', async () => {
    const before = await engine.metric('sanctum_mlx_process_resident_memory_bytes');
    const release = await engine.holdWorker();
    const asked = Array.from({ length: 1000 }, () => chat(engine.url, { max_tokens: 2 }));
    let settled = 0;
    for (const one of asked) void one.finally(() => (settled += 1));
    await waitUntil(() => settled === 1000 - PLACES, { what: 'all but a few are refused' });
    release();
    const responses = await Promise.all(asked);
    const bodies = await Promise.all(responses.map((response) => response.json()));
    const refused = responses.filter(({ status }) => status === 429);
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([200, 429]));
    expect(refused).toHaveLength(1000 - PLACES);
    expect(refused.every(({ headers }) => Number(headers.get('retry-after')) >= 1)).toBe(true);
    for (const [index, { status }] of responses.entries()) {
      const expected = status === 200 ? { usage: {} } : { error: { code: 'queue_full' } };
      expect(bodies[index]).toMatchObject(expected);
    }
    const after = await engine.metric('sanctum_mlx_process_resident_memory_bytes');
    expect(after - before).toBeLessThan(150 * 1024 * 1024);
    expect(await engine.metric('sanctum_mlx_open_requests')).toBe(0);
    expect((await chat(engine.url)).status).toBe(200);
  });
});
