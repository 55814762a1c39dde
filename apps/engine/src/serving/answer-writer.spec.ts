import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { SanctumError } from '@sanctum/errors';
import type { Finish, TokenReport } from '@sanctum/generation';
import { STREAM_BACKLOG_BYTES_MAX, StreamWriter, WholeWriter } from './answer-writer.js';
import { ChatDialect } from './chat-dialect.js';
import { CompletionDialect } from './completion-dialect.js';

const head = { id: 'x', created: 1, model: 'tiny', fingerprint: 'fp' };
const finish: Finish = {
  ...{ reason: 'stop', promptTokens: 3, completionTokens: 2, cachedTokens: 1 },
  ...{ queueMs: 0, firstTokenMs: 1, totalMs: 2 },
};
const report = (text: string, logprob: number): TokenReport => {
  const token = { token: 1, text, bytes: [...Buffer.from(text)], logprob };
  return { ...token, top: [token] };
};

let server: Server;
let port: number;
let response: Promise<ServerResponse>;

beforeEach(async () => {
  server = createServer();
  response = once(server, 'request').then((args) => args[1] as ServerResponse);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  ({ port } = server.address() as AddressInfo);
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const dataOf = (text: string): string[] =>
  text
    .split('\n\n')
    .filter((line) => line !== '')
    .map((line) => line.replace(/^data: /, ''));

describe('StreamWriter', () => {
  const create = async (includeUsage: boolean): Promise<StreamWriter> =>
    new StreamWriter({
      ...{ response: await response, dialect: new ChatDialect(head) },
      ...{ headers: { 'x-a': 'b' }, includeUsage },
    });

  it('sends the head with the first token, one event a step, then usage and [DONE]', async () => {
    const answer = fetch(`http://127.0.0.1:${port}`);
    const writer = await create(true);
    expect((await response).headersSent).toBe(false);
    expect(writer.write({ id: 'x', text: '', tokens: [] })).toBe(true);
    expect((await response).headersSent).toBe(false);
    writer.write({ id: 'x', text: 'ä', tokens: [1] });
    writer.write({ id: 'x', text: 'b', tokens: [2], logprobs: [report('b', -1)] });
    writer.end(finish);
    const received = await answer;
    expect(received.headers.get('x-a')).toBe('b');
    expect(received.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const events = dataOf(await received.text());
    expect(events.pop()).toBe('[DONE]');
    expect(events.map((event) => JSON.parse(event) as object)).toMatchObject([
      { choices: [{ delta: { role: 'assistant', content: 'ä' }, finish_reason: null }] },
      { choices: [{ delta: { content: 'b' }, logprobs: { content: [{ token: 'b' }] } }] },
      { choices: [{ delta: {}, finish_reason: 'stop' }], usage: null },
      { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } },
    ]);
  });

  it('opens with the role when the answer is empty', async () => {
    const answer = fetch(`http://127.0.0.1:${port}`);
    (await create(false)).end(finish);
    const events = dataOf(await (await answer).text());
    expect(JSON.parse(events[0] ?? '')).toMatchObject({
      choices: [{ delta: { role: 'assistant' }, finish_reason: 'stop' }],
    });
  });

  it('leaves a failure before the first event to its caller, and tells later ones in-band', async () => {
    const answer = fetch(`http://127.0.0.1:${port}`);
    const writer = await create(false);
    const error = new SanctumError('worker_failed', 'It died.');
    expect(writer.fail(error)).toBe(false);
    writer.write({ id: 'x', text: 'a', tokens: [1] });
    expect(writer.fail(error)).toBe(true);
    const events = dataOf(await (await answer).text());
    expect(events).toHaveLength(2);
    expect(JSON.parse(events[1] ?? '')).toMatchObject({
      error: { code: 'worker_failed', message: 'It died.', source: 'engine' },
    });
  });

  it('says when a client leaves more than the limit unread', async () => {
    const socket = connect(port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    socket.pause();
    const writer = await create(false);
    const text = 'a'.repeat(64 * 1024);
    let written = 0;
    while (writer.write({ id: 'x', text, tokens: [1] })) {
      written += text.length;
      expect(written).toBeLessThan(16 * STREAM_BACKLOG_BYTES_MAX);
    }
    expect((await response).writableLength).toBeGreaterThan(STREAM_BACKLOG_BYTES_MAX);
    socket.destroy();
  });
});

describe('WholeWriter', () => {
  it('gathers text and log-probabilities into one object', async () => {
    const answer = fetch(`http://127.0.0.1:${port}`);
    const dialect = new CompletionDialect(head);
    const writer = new WholeWriter({ response: await response, dialect, headers: {} });
    writer.write({ id: 'x', text: 'ab', tokens: [1], logprobs: [report('ab', -1)] });
    writer.write({ id: 'x', text: 'c', tokens: [2], logprobs: [report('c', -2)] });
    expect(writer.fail()).toBe(false);
    writer.end(finish);
    expect(await (await answer).json()).toEqual({
      ...{ id: 'x', object: 'text_completion', created: 1, model: 'tiny' },
      system_fingerprint: 'fp',
      choices: [
        {
          ...{ index: 0, text: 'abc', finish_reason: 'stop' },
          logprobs: {
            tokens: ['ab', 'c'],
            token_logprobs: [-1, -2],
            top_logprobs: [{ ab: -1 }, { c: -2 }],
            text_offset: [0, 2],
          },
        },
      ],
      usage: {
        ...{ prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
        prompt_tokens_details: { cached_tokens: 1 },
      },
    });
  });
});

describe('the two dialects', () => {
  it('give thoughts in a field of their own, streamed and whole', async () => {
    const answer = fetch(`http://127.0.0.1:${port}`);
    const dialect = new ChatDialect(head);
    const thought = { ...{ text: '', reasoning: 'hm' }, ...{ logprobs: undefined, finish: null } };
    const chunk = dialect.chunk(thought, undefined);
    expect(chunk.choices[0]?.delta).toEqual({ role: 'assistant', reasoning_content: 'hm' });
    const said = dialect.chunk({ ...thought, text: '4', reasoning: '' }, undefined);
    expect(said.choices[0]?.delta).toEqual({ content: '4' });
    const options = { response: await response, dialect, headers: {} };
    const writer = new WholeWriter(options);
    writer.write({ id: 'x', text: '', reasoning: 'h', tokens: [1] });
    writer.write({ id: 'x', text: '4', reasoning: 'm', tokens: [2] });
    writer.end(finish);
    expect(await (await answer).json()).toMatchObject({
      choices: [{ message: { content: '4', reasoning_content: 'hm' } }],
    });
  });

  it('place completion tokens by the text they complete, and name parts of characters', () => {
    const token = (bytes: readonly number[]): TokenReport => {
      const text = Buffer.from(bytes).toString();
      const first = { token: 1, text, bytes, logprob: -1 };
      return { ...first, top: [first, { ...first, bytes: [0xe4, 0xb9], logprob: -2 }] };
    };
    const dialect = new CompletionDialect(head);
    const logprobs = (...reports: TokenReport[]) => {
      const piece = { text: '', reasoning: '', logprobs: reports, finish: null };
      return dialect.chunk(piece, undefined).choices[0]?.logprobs;
    };
    expect(logprobs(token([0xe4, 0xb8]))).toMatchObject({
      tokens: [String.raw`bytes:\xe4\xb8`],
      top_logprobs: [{ [String.raw`bytes:\xe4\xb8`]: -1, [String.raw`bytes:\xe4\xb9`]: -2 }],
      text_offset: [0],
    });
    expect(logprobs(token([0xad]), token([0x61]), token([0x62]))).toMatchObject({
      tokens: [String.raw`bytes:\xad`, 'a', 'b'],
      text_offset: [0, 1, 2],
    });
  });

  it('report no log-probabilities that were not asked for', () => {
    const piece = { text: 'a', reasoning: '', logprobs: undefined, finish: null };
    expect(new ChatDialect(head).chunk(piece, undefined).choices[0]?.logprobs).toBeNull();
    const completion = new CompletionDialect(head).chunk(piece, undefined);
    expect(completion.choices[0]).toEqual({
      ...{ index: 0, text: 'a', logprobs: null, finish_reason: null },
    });
    expect('usage' in completion).toBe(false);
  });
});
