import { describe, expect, it } from '@jest/globals';
import { isSanctumError } from '@sanctum/errors';
import fc from 'fast-check';
import {
  contentText,
  parseChatCompletionRequest,
  parseCompletionRequest,
  REQUEST_LIMITS,
} from './openai-request.js';
import { IGNORED_FIELDS, UNSUPPORTED_FIELDS } from './openai-support.js';

const messages = [{ role: 'user', content: 'What is 2+2?' }];
const chat = (fields: object): unknown => ({ model: 'padawan', messages, ...fields });

function refusal(run: () => unknown): { code: string; param: string | undefined; message: string } {
  try {
    run();
  } catch (error) {
    if (isSanctumError(error)) {
      return { code: error.code, param: error.param, message: error.message };
    }
    throw error;
  }
  throw new Error('nothing was refused');
}
const refused = (fields: object): ReturnType<typeof refusal> =>
  refusal(() => parseChatCompletionRequest(chat(fields)));

describe('a chat completion request', () => {
  it('keeps what it interprets and drops what it does not know', () => {
    const request = parseChatCompletionRequest(
      chat({ temperature: 0, seed: 7, stop: 'x', made_up: { by: 'a client' } }),
    );
    expect(request).toEqual({ model: 'padawan', messages, temperature: 0, seed: 7, stop: ['x'] });
  });

  it('reads null as absent', () => {
    const nulls = { temperature: null, stop: null, tools: null, stream_options: null, seed: null };
    expect(parseChatCompletionRequest(chat(nulls))).toEqual({ model: 'padawan', messages });
  });

  it('takes every role and text parts', () => {
    const request = parseChatCompletionRequest({
      messages: [
        { role: 'system', content: 'a' },
        { role: 'developer', content: 'b' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'c' },
            { type: 'text', text: 'd' },
          ],
        },
        { role: 'assistant', content: 'e' },
      ],
    });
    expect(request.messages.map((message) => contentText(message.content))).toEqual([
      'a',
      'b',
      'cd',
      'e',
    ]);
  });

  it.each([
    [{ messages: [] }, 'messages', 'at least 1 entries, found 0'],
    [{ messages: 'hi' }, 'messages', 'expected an array, found "hi"'],
    [{ messages: undefined }, 'messages', 'expected an array, found nothing'],
    [{ messages: [{ role: 'wizard', content: 'x' }] }, 'messages[0].role', 'found "wizard"'],
    [{ messages: [{ role: 'user' }] }, 'messages[0].content', 'a string or an array'],
    [{ messages: [{ role: 'user', content: 4 }] }, 'messages[0].content', 'found 4'],
    [
      { messages: [{ role: 'user', content: [{ type: 'text', text: 4 }] }] },
      'messages[0].content[0].text',
      'expected a string, found 4',
    ],
    [{ messages: [{ role: 'user', content: '\ud800' }] }, 'messages[0].content', 'lone surrogates'],
    [{ temperature: '0.5' }, 'temperature', 'expected a number, found "0.5"'],
    [{ temperature: NaN }, 'temperature', 'expected a number, found NaN'],
    [{ temperature: Infinity }, 'temperature', 'found Infinity'],
    [{ temperature: 2.1 }, 'temperature', 'at most 2, found 2.1'],
    [{ top_p: -0.1 }, 'top_p', 'at least 0, found -0.1'],
    [{ top_k: 1.5 }, 'top_k', 'an integer, found 1.5'],
    [{ repetition_penalty: 0 }, 'repetition_penalty', 'more than 0, found 0'],
    [{ presence_penalty: 3 }, 'presence_penalty', 'at most 2'],
    [{ max_tokens: -1 }, 'max_tokens', 'at least 1, found -1'],
    [{ max_completion_tokens: 0 }, 'max_completion_tokens', 'at least 1'],
    [{ seed: 2 ** 60 }, 'seed', 'at most 9007199254740991'],
    [{ n: 2 }, 'n', 'expected 1, found 2'],
    [{ stream: 'yes' }, 'stream', 'a boolean'],
    [{ stop: '' }, 'stop', 'at least 1 characters'],
    [{ stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop', 'up to 4'],
    [{ stop: ['a', ''] }, 'stop[1]', 'at least 1 characters, found 0'],
    [{ stream_options: { include_usage: true } }, 'stream_options', 'stream: true beside it'],
    [{ top_logprobs: 5 }, 'top_logprobs', 'logprobs: true beside it'],
    [{ logprobs: true, top_logprobs: 21 }, 'top_logprobs', 'at most 20, found 21'],
    [{ logit_bias: { '5': 101 } }, 'logit_bias.5', 'at most 100, found 101'],
    [{ logit_bias: { five: 1 } }, 'logit_bias.five', 'a key that is a token id'],
    [{ chat_template_kwargs: { think: 1 } }, 'chat_template_kwargs', 'no field "think"'],
  ])('refuses %j', (fields, param, message) => {
    const found = refused(fields);
    expect(found).toMatchObject({ code: 'invalid_request', param });
    expect(found.message).toContain(message);
  });

  it.each([[null], ['x'], [[]], [7], [undefined]])('refuses the body %j', (body) => {
    expect(refusal(() => parseChatCompletionRequest(body)).code).toBe('invalid_request');
  });

  it('holds each limit at its edge', () => {
    const many = (count: number): object => ({
      messages: Array.from({ length: count }, () => messages[0]),
    });
    const bias = (count: number): object => ({
      logit_bias: Object.fromEntries(Array.from({ length: count }, (_, token) => [token, 1])),
    });
    expect(() => parseChatCompletionRequest(chat(many(REQUEST_LIMITS.messages)))).not.toThrow();
    expect(refused(many(REQUEST_LIMITS.messages + 1)).param).toBe('messages');
    expect(() =>
      parseChatCompletionRequest(chat(bias(REQUEST_LIMITS.logitBiasEntries))),
    ).not.toThrow();
    expect(refused(bias(REQUEST_LIMITS.logitBiasEntries + 1)).param).toBe('logit_bias');
    const stop = 's'.repeat(REQUEST_LIMITS.stopCharacters);
    expect(parseChatCompletionRequest(chat({ stop })).stop).toEqual([stop]);
    expect(refused({ stop: [`${stop}s`] }).param).toBe('stop[0]');
    expect(refused({ model: 'm'.repeat(REQUEST_LIMITS.modelCharacters + 1) }).param).toBe('model');
  });

  it('never repeats more than 40 characters of what it was sent', () => {
    const secret = 'a'.repeat(41) + 'SECRET';
    expect(refused({ temperature: secret }).message).not.toContain('SECRET');
  });
});

describe('fields known and not supported', () => {
  it.each([
    [{ tools: [{ type: 'function' }] }, 'tools'],
    [{ tool_choice: 'required' }, 'tool_choice'],
    [{ response_format: { type: 'json_object' } }, 'response_format'],
    [{ modalities: ['text', 'audio'] }, 'modalities'],
    [{ reasoning_effort: 'high' }, 'reasoning_effort'],
    [{ store: true }, 'store'],
    [{ messages: [{ role: 'tool', content: 'x', tool_call_id: 'y' }] }, 'messages[0].role'],
    [
      { messages: [...messages, { role: 'assistant', content: null, tool_calls: [{}] }] },
      'messages[1].tool_calls',
    ],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
      'messages[0].content[0].type',
    ],
  ])('refuses %j by name', (fields, param) => {
    const found = refused(fields);
    expect(found).toMatchObject({ code: 'unsupported', param });
    expect(found.message).toContain(param);
  });

  it('passes the values that ask for nothing', () => {
    const neutral = {
      tools: [],
      tool_choice: 'none',
      response_format: { type: 'text' },
      modalities: ['text'],
      store: false,
      user: 'me',
      metadata: { a: 'b' },
    };
    expect(parseChatCompletionRequest(chat(neutral))).toEqual({ model: 'padawan', messages });
  });

  it('lists no field twice', () => {
    expect(IGNORED_FIELDS.filter((field) => field in UNSUPPORTED_FIELDS)).toEqual([]);
  });
});

describe('a completion request', () => {
  it.each([
    ['text', 'text'],
    [['text'], 'text'],
    [
      [1, 2, 3],
      [1, 2, 3],
    ],
    [[REQUEST_LIMITS.tokenId], [REQUEST_LIMITS.tokenId]],
  ])('takes the prompt %j', (prompt, read) => {
    expect(parseCompletionRequest({ prompt }).prompt).toEqual(read);
  });

  it.each([
    [{ prompt: ['a', 'b'] }, 'prompt'],
    [{ prompt: [1, 1.5] }, 'prompt[1]'],
    [{ prompt: [REQUEST_LIMITS.tokenId + 1] }, 'prompt[0]'],
    [{ prompt: [1, 2 ** 32 + 5] }, 'prompt[1]'],
    [{ prompt: 'x', logprobs: 6 }, 'logprobs'],
    [{ prompt: 'x', best_of: 3 }, 'best_of'],
    [{ prompt: 'x', echo: true }, 'echo'],
    [{ prompt: 'x', suffix: 'y' }, 'suffix'],
  ])('refuses %j', (body, param) => {
    expect(refusal(() => parseCompletionRequest(body)).param).toBe(param);
  });
});

it('answers any JSON with a request or a refusal, never another error', () => {
  const field = fc.constantFrom(
    ...['messages', 'prompt', 'stop', 'temperature', 'logit_bias', 'tools', 'stream_options'],
  );
  fc.assert(
    fc.property(fc.dictionary(field, fc.jsonValue()), (body) => {
      for (const parse of [parseChatCompletionRequest, parseCompletionRequest]) {
        try {
          parse(body);
        } catch (error) {
          expect(isSanctumError(error) && error.definition.status === 400).toBe(true);
        }
      }
    }),
  );
});
