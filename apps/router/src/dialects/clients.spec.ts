import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { UpstreamProgram, waitUntil } from '@sanctum/testing';
import OpenAI from 'openai';
import { startTestRouter, type TestRouter } from '../router.fixture.js';

const ANSWER = '2 + 2 equals 4. ✓';
const QUESTION = [{ role: 'user' as const, content: 'What is 2+2?' }];
const SCHEMA = { type: 'object' as const, properties: { city: { type: 'string' } } };

/** Servers that speak chat completions, each in its own way. */
const CHAT_SERVERS = [
  'zoo-engine',
  'zoo-mlx-lm',
  'zoo-lm-studio',
  'zoo-ollama',
  'zoo-openai',
  'zoo-openrouter',
] as const;

interface Listed {
  readonly data: readonly { readonly id: string }[];
}

let upstream: UpstreamProgram;
let router: TestRouter;
let openai: OpenAI;
let anthropic: Anthropic;

beforeAll(async () => {
  upstream = await UpstreamProgram.start();
  const chat = [...CHAT_SERVERS, 'zoo-gzip', 'zoo-whole-for-stream', 'zoo-stream-unfinished'];
  const failing = ['die-midway', 'stall', 'status-429', 'status-500', 'zoo-openai-html'];
  const single = [...chat, ...failing].map((name) => [name, { url: upstream.url(name) }]);
  const native = ['chat', 'responses', 'messages'];
  const backends = {
    ...(Object.fromEntries(single) as Record<string, object>),
    'second-answers': {
      url: upstream.url('status-503'),
      fallback_urls: [upstream.url('zoo-engine')],
    },
    'native-anthropic': {
      url: upstream.url('zoo-anthropic'),
      dialects: native,
      api_key_env: 'KEY',
      fallback_urls: [{ url: upstream.url('zoo-engine'), dialects: ['chat'] }],
    },
    'native-anthropic-down': {
      url: upstream.url('zoo-anthropic-overloaded'),
      dialects: native,
      fallback_urls: [{ url: upstream.url('zoo-engine'), dialects: ['chat'] }],
    },
    'native-anthropic-alone': { url: upstream.url('zoo-anthropic-overloaded'), dialects: native },
    'native-openai': { url: upstream.url('zoo-openai'), dialects: native },
    'native-dies': { url: upstream.url('die-midway'), dialects: native },
  };
  const environment = { KEY: 'sk-anthropic' };
  router = await startTestRouter({ router: { backends, default: 'zoo-engine' }, environment });
  openai = new OpenAI({ baseURL: `${router.url}/v1`, apiKey: 'none', maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: router.url, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  await router.stop();
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

describe.each(CHAT_SERVERS)("Anthropic's client and %s", (model) => {
  const asked = { model, max_tokens: 64, messages: QUESTION };
  const tools = [{ name: 'weather', input_schema: SCHEMA }];

  it('get a message', async () => {
    const { data: message, response } = await anthropic.messages.create(asked).withResponse();
    expect(message).toMatchObject({
      type: 'message',
      role: 'assistant',
      content: [{ type: 'text', text: ANSWER }],
      stop_reason: 'end_turn',
      usage: { input_tokens: 12, output_tokens: 8 },
    });
    expect(response.headers.get('x-sanctum-backend')).toBe(model);
    expect(response.headers.get('request-id')).toBe(response.headers.get('x-request-id'));
    expect(received().path).toBe('/v1/chat/completions');
  });

  it('get a stream', async () => {
    const stream = anthropic.messages.stream(asked);
    const pieces: string[] = [];
    stream.on('text', (text) => pieces.push(text));
    const message = await stream.finalMessage();
    expect(pieces.join('')).toBe(ANSWER);
    expect(message.content.at(-1)).toMatchObject({ type: 'text', text: ANSWER });
    expect(message.stop_reason).toBe('end_turn');
    const usage = { input_tokens: 12, output_tokens: 8 };
    // It tells none, not even when asked: then the deltas are counted.
    const uncounted = { input_tokens: 0, output_tokens: 3 };
    expect(message.usage).toMatchObject(model === 'zoo-ollama' ? uncounted : usage);
  });

  it('call tools, whole and streamed', async () => {
    const use = { type: 'tool_use', name: 'weather', input: { city: 'Bonn' } };
    const whole = await anthropic.messages.create({ ...asked, tools });
    expect(whole).toMatchObject({ content: [use], stop_reason: 'tool_use' });
    const streamed = await anthropic.messages.stream({ ...asked, tools }).finalMessage();
    expect(streamed.content.at(-1)).toMatchObject(use);
    expect(streamed.stop_reason).toBe('tool_use');
  });
});

describe.each(CHAT_SERVERS)("OpenAI's client and %s", (model) => {
  const tools = [{ type: 'function' as const, name: 'weather', parameters: SCHEMA, strict: false }];
  const asked = { model, input: 'What is 2+2?' };

  it('get a response', async () => {
    const { data: response, response: raw } = await openai.responses.create(asked).withResponse();
    expect(response.output_text).toBe(ANSWER);
    expect(response).toMatchObject({
      object: 'response',
      status: 'completed',
      usage: { input_tokens: 12, output_tokens: 8, total_tokens: 20 },
    });
    expect(raw.headers.get('x-sanctum-backend')).toBe(model);
  });

  it('get a stream', async () => {
    const stream = openai.responses.stream(asked);
    const numbers: number[] = [];
    let text = '';
    for await (const event of stream) {
      numbers.push(event.sequence_number);
      if (event.type === 'response.output_text.delta') text += event.delta;
    }
    expect(text).toBe(ANSWER);
    expect(numbers).toEqual([...numbers.keys()]);
    expect((await stream.finalResponse()).output_text).toBe(ANSWER);
  });

  it('call tools, whole and streamed', async () => {
    const call = { type: 'function_call', name: 'weather', arguments: '{"city":"Bonn"}' };
    const whole = await openai.responses.create({ ...asked, tools });
    expect(whole.output).toMatchObject([call]);
    const stream = openai.responses.stream({ ...asked, tools });
    expect((await stream.finalResponse()).output.at(-1)).toMatchObject(call);
  });

  it('get chat completions as ever', async () => {
    const chat = { model, messages: QUESTION };
    const whole = await openai.chat.completions.create(chat);
    expect(whole.choices[0]?.message.content).toBe(ANSWER);
    const stream = openai.chat.completions.stream(chat);
    expect((await stream.finalMessage()).content).toBe(ANSWER);
  });
});

describe('a conversation with tools', () => {
  it('reaches a chat backend turned round, and only the model is spliced', async () => {
    await anthropic.messages.create({
      model: 'zoo-engine',
      max_tokens: 64,
      system: 'Be brief.',
      messages: [
        ...QUESTION,
        { role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'f', input: { a: 1 } }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't', content: '4' }] },
      ],
    });
    expect(JSON.parse(received().body.toString())).toEqual({
      model: 'zoo-engine',
      max_tokens: 64,
      messages: [
        { role: 'system', content: 'Be brief.' },
        ...QUESTION,
        {
          role: 'assistant',
          content: null,
          tool_calls: [
            { id: 't', type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
          ],
        },
        { role: 'tool', tool_call_id: 't', content: '4' },
      ],
    });
    expect(received().headers['x-api-key']).toBeUndefined();
  });

  it('is JSON for the upstream, whatever the client called it', async () => {
    const body = JSON.stringify({ model: 'zoo-engine', max_tokens: 9, messages: QUESTION });
    const headers = { 'content-type': 'text/plain' };
    const answer = await fetch(`${router.url}/v1/messages`, { method: 'POST', body, headers });
    expect(await answer.json()).toMatchObject({ type: 'message' });
    expect(received().headers['content-type']).toBe('application/json');
  });
});

describe('choice and failover are the same', () => {
  it('a failed URL is followed by the next', async () => {
    const asked = { model: 'second-answers', max_tokens: 9, messages: QUESTION };
    const { data, response } = await anthropic.messages.create(asked).withResponse();
    expect(data.content).toMatchObject([{ text: ANSWER }]);
    expect(response.headers.get('x-sanctum-url-index')).toBe('1');
  });

  it('intent is read from a Responses input', async () => {
    const settings = {
      backends: {
        main: { url: upstream.url('zoo-engine') },
        coder: { url: upstream.url('zoo-engine') },
      },
      default: 'main',
      intent_keywords: { coder: ['debug'] },
    };
    const other = await startTestRouter({ router: settings });
    for (const input of ['Debug this', [{ role: 'user', content: 'debug' }]]) {
      const answer = await fetch(`${other.url}/v1/responses`, {
        method: 'POST',
        body: JSON.stringify({ input }),
      });
      expect(answer.headers.get('x-sanctum-backend')).toBe('coder');
      await answer.text();
    }
    await other.stop();
  });
});

describe('a backend that speaks the dialect', () => {
  const asked = { model: 'native-anthropic', max_tokens: 9, messages: QUESTION };

  it('gets messages untouched, with its key and a version', async () => {
    const body =
      '{"model":"native-anthropic", "max_tokens":9,"thinking":{"type":"enabled","budget_tokens":1024},"messages":[]}';
    const answer = await fetch(`${router.url}/v1/messages?beta=true`, { method: 'POST', body });
    expect(await answer.json()).toMatchObject({ id: 'msg_native' });
    expect(received().path).toBe('/v1/messages?beta=true');
    expect(received().body.toString()).toBe(body);
    expect(received().headers).toMatchObject({
      'x-api-key': 'sk-anthropic',
      'anthropic-version': '2023-06-01',
    });
  });

  it('counts tokens and lists its models with the same key and version', async () => {
    const council = {
      url: upstream.url('zoo-anthropic'),
      dialects: ['chat', 'messages'],
      api_key_env: 'KEY',
    };
    const environment = { KEY: 'sk-anthropic' };
    const alone = await startTestRouter({ router: { backends: { council } }, environment });
    try {
      const client = new Anthropic({ baseURL: alone.url, apiKey: 'none', maxRetries: 0 });
      const counted = { model: 'claude-zoo', messages: QUESTION };
      expect(await client.messages.countTokens(counted)).toEqual({ input_tokens: 12 });
      expect(received().headers).toMatchObject({ 'x-api-key': 'sk-anthropic' });
      const listed = await waitUntil(
        async () => {
          const { data } = (await (await alone.get('/v1/models')).json()) as Listed;
          return data.length > 1 && data.map(({ id }) => id);
        },
        { what: 'the upstream has said what it serves' },
      );
      expect(listed).toEqual(['council', 'claude-zoo']);
      const { headers } = received();
      expect(headers).toMatchObject({
        'x-api-key': 'sk-anthropic',
        'anthropic-version': '2023-06-01',
      });
    } finally {
      await alone.stop();
    }
  });

  it('streams untouched', async () => {
    const message = await anthropic.messages.stream(asked).finalMessage();
    expect(message).toMatchObject({ id: 'msg_native', content: [{ text: ANSWER }] });
    const response = await openai.responses
      .stream({ model: 'native-openai', input: 'x' })
      .finalResponse();
    expect(response.id).toBe('resp_native');
    expect(received().path).toBe('/v1/responses');
  });

  it('fails over to one that has to be translated for', async () => {
    const other = { ...asked, model: 'native-anthropic-down' };
    const { data, response } = await anthropic.messages.create(other).withResponse();
    expect(data).toMatchObject({ content: [{ text: ANSWER }] });
    expect(response.headers.get('x-sanctum-url-index')).toBe('1');
  });

  it('dies with an error event of the dialect', async () => {
    const body = JSON.stringify({ ...asked, model: 'native-dies', stream: true });
    const messages = await fetch(`${router.url}/v1/messages`, { method: 'POST', body });
    expect(await messages.text()).toMatch(
      /event: error\ndata: {"type":"error",.*broke off.*\n\n$/s,
    );
    const responses = await fetch(`${router.url}/v1/responses`, { method: 'POST', body });
    expect(await responses.text()).toMatch(
      /event: error\ndata: {"type":"error",.*broke off.*\n\n$/s,
    );
  });
});

describe('what goes wrong is told in the dialect', () => {
  const asked = (model: string) => ({ model, max_tokens: 9, messages: QUESTION });
  const thrown = async (promise: Promise<unknown>): Promise<{ status?: number; message: string }> =>
    promise.then(
      () => Promise.reject(new Error('nothing was thrown')),
      (error: unknown) => error as { status?: number; message: string },
    );

  it.each([
    ['status-429', 429, 'rate_limit_error'],
    ['status-500', 500, 'api_error'],
    ['zoo-openai-html', 503, 'api_error'],
    ['native-anthropic-alone', 529, 'overloaded_error'],
  ])('%s answers %d as an %s', async (model, status, type) => {
    const answer = await fetch(`${router.url}/v1/messages`, {
      method: 'POST',
      body: JSON.stringify(asked(model)),
    });
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ type: 'error', error: { type, source: model } });
  });

  it.each([
    [{ thinking: { type: 'enabled', budget_tokens: 1024 } }, 'thinking.type'],
    [{ max_tokens: undefined }, 'max_tokens'],
    [{ mcp_servers: [] }, 'mcp_servers'],
  ])('a request with %j is refused before any upstream is asked', async (fields, param) => {
    const answer = await fetch(`${router.url}/v1/messages`, {
      method: 'POST',
      body: JSON.stringify({ ...asked('zoo-engine'), ...fields }),
    });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({
      type: 'error',
      error: { type: 'invalid_request_error', param, source: 'router' },
    });
    expect(upstream.requests).toEqual([]);
  });

  it('names the field of a response that is refused', async () => {
    const refused = openai.responses.create({
      model: 'zoo-engine',
      input: 'x',
      previous_response_id: 'resp_1',
    });
    expect(await thrown(refused)).toMatchObject({ status: 400, param: 'previous_response_id' });
    expect(upstream.requests).toEqual([]);
  });

  it('a router that takes no more', async () => {
    const backends = { main: { url: upstream.url('zoo-engine') } };
    const full = await startTestRouter({ router: { backends }, limits: { inFlightMax: 0 } });
    const answer = await fetch(`${full.url}/v1/messages`, { method: 'POST', body: '{}' });
    expect(answer.status).toBe(429);
    expect(await answer.json()).toMatchObject({
      type: 'error',
      error: { type: 'rate_limit_error', code: 'queue_full' },
    });
    await full.stop();
  });

  it('bodies that are no JSON', async () => {
    const init = { method: 'POST', body: '{"model":' };
    const answer = await fetch(`${router.url}/v1/messages`, init);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ type: 'error' });
    expect((await fetch(`${router.url}/v1/responses`, init)).status).toBe(400);
  });

  it.each(['die-midway', 'zoo-stream-unfinished'])(
    'a stream of %s ends with an error',
    async (model) => {
      const message = anthropic.messages.stream(asked(model));
      expect((await thrown(message.finalMessage())).message).toMatch(/broke off|unfinished/);
      const events: string[] = [];
      const stream = await openai.responses.create({ model, input: 'x', stream: true });
      for await (const event of stream) events.push(event.type);
      expect(events.at(-1)).toBe('response.failed');
    },
  );
});

describe('answers in another form than asked for', () => {
  it('are decoded', async () => {
    const asked = { model: 'zoo-gzip', max_tokens: 9, messages: QUESTION };
    expect((await anthropic.messages.create(asked)).content).toMatchObject([{ text: ANSWER }]);
    expect(received().headers['accept-encoding']).toBe('identity');
  });

  it('become a stream where one was asked for', async () => {
    const model = 'zoo-whole-for-stream';
    const asked = { model, max_tokens: 9, messages: QUESTION };
    const message = await anthropic.messages.stream(asked).finalMessage();
    expect(message.content).toMatchObject([{ text: ANSWER }]);
    const response = await openai.responses.stream({ model, input: 'x' }).finalResponse();
    expect(response.output_text).toBe(ANSWER);
  });
});
