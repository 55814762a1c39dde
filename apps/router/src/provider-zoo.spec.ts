import { request as httpRequest, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createTempHome, RunningProgram, UpstreamProgram, type TempHome } from '@sanctum/testing';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const ANSWER = '2 + 2 equals 4. ✓';
const SPARE = '2 + 2 equals 4.';
const USAGE = { prompt_tokens: 12, completion_tokens: 8, total_tokens: 20 };
const MESSAGES = [{ role: 'user', content: 'What is 2+2?' }];

/** Servers that answer, each in its own way. */
const ANSWERING = [
  'zoo-engine',
  'zoo-mlx-lm',
  'zoo-lm-studio',
  'zoo-ollama',
  'zoo-openai',
  'zoo-openrouter',
] as const;

/** Faults before the first content, with what the client sees without another URL. */
const FAILING: readonly [name: string, stream: boolean, status: number, said: string][] = [
  ['zoo-openrouter-200-error', false, 429, 'Provider returned error'],
  ['zoo-openrouter-stream-error', true, 502, 'stream_error'],
  ['zoo-lm-studio-error', true, 502, 'stream_error'],
  ['zoo-openai-html', false, 503, 'answered 503'],
  ['zoo-anthropic-overloaded', false, 529, 'Overloaded'],
  ['die-before-answer', false, 502, 'URL 0'],
  ['die-before-content', true, 502, 'URL 0'],
  ['die-in-json', false, 502, 'URL 0'],
  ['string-error', false, 404, 'no such adapter'],
];

/** Beyond the shapes: how the bytes travel. */
const TRAVEL = ['crlf', 'drip', 'split-utf8', 'zoo-openai', 'zoo-openrouter'] as const;

let home: TempHome;
let upstream: UpstreamProgram;
let shortLived: UpstreamProgram;
let router: RunningProgram;
let url = '';

beforeAll(async () => {
  home = await createTempHome({ identities: [] });
  upstream = await UpstreamProgram.start();
  shortLived = await UpstreamProgram.start({ keepAliveMs: 1 });
  const names = [
    ...ANSWERING,
    ...TRAVEL,
    ...FAILING.map(([name]) => name),
    ...['zoo-anthropic', 'zoo-gzip', 'zoo-openrouter-dies', 'zoo-stream-unfinished'],
  ];
  const alone = names.map((name) => [name, { url: upstream.url(name) }]);
  const spared = FAILING.map(([name]) => {
    const fallback = upstream.url('well');
    return [`${name}-spared`, { url: upstream.url(name), fallback_urls: [fallback] }];
  });
  const backends = {
    ...(Object.fromEntries([...alone, ...spared]) as Record<string, object>),
    'short-lived': { url: shortLived.url('zoo-engine') },
  };
  const services = { router: { port: 0, default: 'zoo-engine', backends } };
  const file = home.paths.instanceFile;
  writeFileSync(file, JSON.stringify({ instance: { name: home.instance }, services }));
  router = await RunningProgram.startSource(MAIN, { args: ['--router-config', file] });
  const line = await router.line((text) => text.includes('"msg":"ready"'), 60_000);
  url = (JSON.parse(line) as { addresses: { url: string }[] }).addresses[0]?.url ?? '';
});
afterAll(async () => {
  expect(await router.stop()).toEqual({ code: 0, signal: null });
  await Promise.all([upstream.kill(), shortLived.kill()]);
  await home.remove();
});
beforeEach(() => {
  upstream.requests.length = 0;
});

const post = (model: string, fields: object = {}): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model, messages: MESSAGES, ...fields }),
  });

interface Seen {
  readonly text: string;
  readonly calls: string;
  readonly finish: string | null | undefined;
  readonly usage: unknown;
  readonly isDone: boolean;
}

/** A stream as a client puts it together. */
function readStream(text: string): Seen {
  const data = text.split(/\r?\n\r?\n/).flatMap((event) => /^data: ?(.*)$/m.exec(event)?.[1] ?? []);
  const isDone = data.at(-1) === '[DONE]';
  const chunks = (isDone ? data.slice(0, -1) : data).map((json) => JSON.parse(json) as Chunk);
  const deltas = chunks.flatMap(({ choices }) => choices?.[0]?.delta ?? []);
  return {
    text: deltas.map(({ content }) => content ?? '').join(''),
    calls: deltas
      .flatMap(({ tool_calls }) => tool_calls ?? [])
      .map(({ function: f }) => f.arguments)
      .join(''),
    finish: chunks.findLast(({ choices }) => choices?.[0]?.finish_reason)?.choices?.[0]
      ?.finish_reason,
    usage: chunks.findLast(({ usage }) => usage)?.usage,
    isDone,
  };
}

interface Chunk {
  readonly choices?: {
    delta?: { content?: string | null; tool_calls?: { function: { arguments: string } }[] };
    finish_reason?: string | null;
  }[];
  readonly usage?: unknown;
}

describe.each(ANSWERING)('%s', (name) => {
  it('answers whole', async () => {
    const answer = await post(name);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('x-sanctum-backend')).toBe(name);
    expect(await answer.json()).toMatchObject({
      choices: [{ message: { content: ANSWER }, finish_reason: 'stop' }],
      usage: USAGE,
    });
  });

  it('streams, the same bytes as without the router', async () => {
    const fields = { stream: true, stream_options: { include_usage: true } };
    const answer = await post(name, fields);
    expect(answer.headers.get('content-type')).toContain('text/event-stream');
    const through = await answer.text();
    const direct = await fetch(`${upstream.url(name)}/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ model: name, messages: MESSAGES, ...fields }),
    });
    expect(through).toBe(await direct.text());
    const seen = readStream(through);
    expect(seen).toMatchObject({ text: ANSWER, finish: 'stop', isDone: true });
    expect(seen.usage).toEqual(name === 'zoo-ollama' ? undefined : USAGE);
  });

  it('calls a tool', async () => {
    const tools = [{ type: 'function', function: { name: 'weather', parameters: {} } }];
    const seen = readStream(await (await post(name, { stream: true, tools })).text());
    expect(seen.calls).toBe('{"city":"Bonn"}');
    expect(seen.finish).toBe(name === 'zoo-ollama' ? 'stop' : 'tool_calls');
  });
});

describe.each(FAILING)('%s', (name, stream, ...seen) => {
  const [status, said] = seen;

  it(`is a ${status} with an envelope when there is no other URL`, async () => {
    const answer = await post(name, { stream });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toBe('application/json');
    const { error } = (await answer.json()) as { error: Record<string, unknown> };
    expect(error).toMatchObject({ source: status === 502 ? 'router' : name });
    expect(String(error['message'])).toContain(said);
  });

  it('is not seen when another URL answers', async () => {
    const answer = await post(`${name}-spared`, { stream });
    if (status === 404) {
      // The client's own fault by its status: no other URL is asked.
      expect(answer.status).toBe(404);
      await answer.text();
      return;
    }
    expect([answer.status, answer.headers.get('x-sanctum-url-index')]).toEqual([200, '1']);
    expect(await answer.text()).toContain(stream ? 'equals 4.' : SPARE);
  });
});

describe('after the first content', () => {
  it("a provider's own error event is passed on, and nothing is sent again", async () => {
    const text = await (await post('zoo-openrouter-dies', { stream: true })).text();
    expect(text).toContain('"message":"Provider disconnected"');
    expect(text.match(/token /g)).toHaveLength(1);
    expect(upstream.requests).toHaveLength(1);
  });

  it('a stream that ends unfinished is passed on as it is', async () => {
    const text = await (await post('zoo-stream-unfinished', { stream: true })).text();
    expect(readStream(text)).toMatchObject({ text: 'token ', isDone: false });
  });
});

describe('on the way', () => {
  it.each(TRAVEL)('%s loses no byte', async (name) => {
    const body = JSON.stringify({ model: name, stream: true, messages: MESSAGES });
    const direct = await fetch(`${upstream.url(name)}/chat/completions`, { method: 'POST', body });
    expect(await (await post(name, { stream: true })).text()).toBe(await direct.text());
  });

  it('an encoded answer stays encoded for a chat client', async () => {
    const target = httpRequest(`${url}/v1/chat/completions`, { method: 'POST' });
    target.end(JSON.stringify({ model: 'zoo-gzip', messages: MESSAGES }));
    const [answer] = (await once(target, 'response')) as [IncomingMessage];
    const pieces: Buffer[] = [];
    for await (const piece of answer as AsyncIterable<Buffer>) pieces.push(piece);
    expect(answer.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(Buffer.concat(pieces)).toString()).toContain(ANSWER);
  });

  it.each(['short-lived', 'zoo-mlx-lm'])(
    '%s drops its connections between requests, and no request is lost',
    async (name) => {
      for (let round = 0; round < 10; round++) {
        const answer = await post(name);
        expect(answer.status).toBe(200);
        await answer.text();
      }
    },
  );

  it('a server of another dialect alone is a 404 with its words', async () => {
    const answer = await post('zoo-anthropic');
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({
      error: { message: 'no', source: 'zoo-anthropic' },
    });
  });
});

it('no prompt and no answer is in the log', () => {
  const log = router.lines.join('\n');
  expect(log).not.toContain('2+2');
  expect(log).not.toContain('equals');
});
