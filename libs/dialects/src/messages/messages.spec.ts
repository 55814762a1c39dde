import { describe, expect, it } from '@jest/globals';
import { isSanctumError } from '@sanctum/errors';
import { translate } from '../translate.js';
import { messagesError } from './error.js';

const USER = { role: 'user', content: 'What is 2+2?' };
const request = (fields: object = {}): object => ({
  model: 'm',
  max_tokens: 64,
  messages: [USER],
  ...fields,
});
const chatOf = (fields: object): unknown => translate('messages', request(fields)).chat;
const STAMP = { id: 'a1', createdS: 1, model: 'asked' };

function refused(fields: object): { code: string; param: string | undefined; message: string } {
  try {
    translate('messages', request(fields));
  } catch (error) {
    if (isSanctumError(error)) {
      return { code: error.code, param: error.param, message: error.message };
    }
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('a request of /v1/messages as a chat completion', () => {
  it('keeps what both sides have', () => {
    const fields = {
      system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
      stop_sequences: ['END'],
      temperature: 0.5,
      top_p: 0.9,
      top_k: 40,
      metadata: { user_id: 'u1' },
      stream: true,
      thinking: { type: 'disabled' },
      service_tier: 'auto',
      output_config: { effort: 'low', format: { type: 'json_schema', schema: { type: 'object' } } },
    };
    expect(chatOf(fields)).toEqual({
      model: 'm',
      messages: [{ role: 'system', content: 'Be brief.' }, USER],
      max_tokens: 64,
      stop: ['END'],
      temperature: 0.5,
      top_p: 0.9,
      top_k: 40,
      user: 'u1',
      stream: true,
      stream_options: { include_usage: true },
      reasoning_effort: 'low',
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'output', schema: { type: 'object' }, strict: true },
      },
    });
  });

  it('turns a conversation with tools, thoughts and images round', () => {
    const image = {
      type: 'image',
      source: { type: 'base64', media_type: 'image/png', data: 'QUI=' },
    };
    const messages = [
      { role: 'user', content: [{ type: 'text', text: 'Weather?' }, image] },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'I look it up.', signature: 's' },
          { type: 'text', text: 'One moment.' },
          { type: 'tool_use', id: 't1', name: 'weather', input: { city: 'Bonn' } },
        ],
      },
      {
        role: 'user',
        content: [
          {
            type: 'tool_result',
            tool_use_id: 't1',
            content: [{ type: 'text', text: 'no' }],
            is_error: true,
          },
          { type: 'text', text: 'And now?' },
        ],
      },
    ];
    expect(chatOf({ messages })).toMatchObject({
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Weather?' },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,QUI=' } },
          ],
        },
        {
          role: 'assistant',
          content: 'One moment.',
          reasoning_content: 'I look it up.',
          tool_calls: [
            {
              id: 't1',
              type: 'function',
              function: { name: 'weather', arguments: '{"city":"Bonn"}' },
            },
          ],
        },
        { role: 'tool', tool_call_id: 't1', content: 'Error: no' },
        { role: 'user', content: 'And now?' },
      ],
    });
  });

  it('puts images of tool results behind all results of the turn', () => {
    const image = (name: string): object => ({
      type: 'image',
      source: { type: 'url', url: `https://a/${name}.png` },
    });
    const part = (name: string): object => ({
      type: 'image_url',
      image_url: { url: `https://a/${name}.png` },
    });
    const text = (said: string): object => ({ type: 'text', text: said });
    const use = (id: string): object => ({ type: 'tool_use', id, name: 'f', input: {} });
    const result = (id: string, content: object[]): object => ({
      type: 'tool_result',
      tool_use_id: id,
      content,
    });
    const content = [result('t0', [text('a'), image('0'), text('b')]), result('t1', [image('1')])];
    const calls = { role: 'assistant', content: [use('t0'), use('t1')] };
    const results = [
      { role: 'tool', tool_call_id: 't0', content: 'a\nb' },
      { role: 'tool', tool_call_id: 't1', content: '' },
    ];
    const messagesOf = (said: object[]): unknown => {
      const messages = [USER, calls, { role: 'user', content: said }];
      return (chatOf({ messages }) as { messages: unknown[] }).messages.slice(2);
    };
    const images = [part('0'), part('1')];
    expect(messagesOf(content)).toEqual([...results, { role: 'user', content: images }]);
    expect(messagesOf([...content, text('And now?'), image('2')])).toEqual([
      ...results,
      { role: 'user', content: [...images, text('And now?'), part('2')] },
    ]);
  });

  it.each([
    [{ type: 'auto' }, { tool_choice: 'auto' }],
    [{ type: 'none' }, { tool_choice: 'none' }],
    [
      { type: 'any', disable_parallel_tool_use: true },
      { tool_choice: 'required', parallel_tool_calls: false },
    ],
    [{ type: 'tool', name: 'f' }, { tool_choice: { type: 'function', function: { name: 'f' } } }],
  ])('tools and the choice %j', (choice, chat) => {
    const schema = { type: 'object', properties: {} };
    const tools = [{ name: 'f', description: 'does', input_schema: schema }];
    expect(chatOf({ tools, tool_choice: choice })).toMatchObject({
      tools: [
        { type: 'function', function: { name: 'f', description: 'does', parameters: schema } },
      ],
      ...chat,
    });
  });

  it.each([
    [{ tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 'tools[0].type'],
    [{ mcp_servers: [{}] }, 'mcp_servers'],
    [{ container: 'c' }, 'container'],
    [{ thinking: { type: 'enabled', budget_tokens: 1024 } }, 'thinking.type'],
    [
      { messages: [{ role: 'user', content: [{ type: 'document', source: {} }] }] },
      'messages[0].content[0].type',
    ],
    [{ messages: [USER, { role: 'assistant', content: 'It is' }] }, 'messages[1].role'],
    [
      {
        messages: [
          { role: 'user', content: [{ type: 'image', source: { type: 'file', file_id: 'f' } }] },
        ],
      },
      'messages[0].content[0].source.type',
    ],
  ])('refuses %j by name', (fields, param) => {
    const found = refused(fields);
    expect(found).toMatchObject({ code: 'unsupported', param });
    expect(found.message).toContain(param);
  });

  it.each([
    [{ max_tokens: undefined }, 'max_tokens'],
    [{ max_tokens: 0 }, 'max_tokens'],
    [{ messages: [] }, 'messages'],
    [{ messages: [{ role: 'user', content: 4 }] }, 'messages[0].content'],
    [{ temperature: 1.5 }, 'temperature'],
    [{ tools: [{ name: 'has space', input_schema: {} }] }, 'tools[0].name'],
  ])('refuses the malformed %j', (fields, param) => {
    expect(refused(fields)).toMatchObject({ code: 'invalid_request', param });
  });
});

describe('a chat completion as a message', () => {
  const completion = (message: object, finish: string, rest: object = {}): object => ({
    model: 'said',
    choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: finish }],
    ...rest,
  });
  const answer = (value: object, fields: object = {}): unknown =>
    translate('messages', request(fields)).answer(value, STAMP);

  it('leaves thoughts out where thinking was disabled', () => {
    const thought = completion({ content: 'Hm.', reasoning_content: 'Think.' }, 'stop');
    const content = [{ type: 'text', text: 'Hm.', citations: null }];
    expect(answer(thought, { thinking: { type: 'disabled' } })).toMatchObject({ content });
  });

  it('has thoughts, text, tools and usage', () => {
    const calls = [{ id: 't1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }];
    const message = { content: 'Hm.', reasoning_content: 'Think.', tool_calls: calls };
    const details = { prompt_tokens_details: { cached_tokens: 4 } };
    const usage = { prompt_tokens: 12, completion_tokens: 8, total_tokens: 20, ...details };
    expect(answer(completion(message, 'stop', { usage }))).toEqual({
      id: 'msg_a1',
      type: 'message',
      role: 'assistant',
      model: 'said',
      content: [
        { type: 'thinking', thinking: 'Think.', signature: '' },
        { type: 'text', text: 'Hm.', citations: null },
        { type: 'tool_use', id: 't1', name: 'f', input: { a: 1 } },
      ],
      stop_reason: 'tool_use',
      stop_sequence: null,
      usage: {
        input_tokens: 8,
        output_tokens: 8,
        cache_creation_input_tokens: null,
        cache_read_input_tokens: 4,
      },
    });
  });

  it.each([
    ['stop', 'end_turn'],
    ['length', 'max_tokens'],
    ['content_filter', 'refusal'],
    ['eos', 'end_turn'],
  ])('%s becomes %s', (finish, reason) => {
    expect(answer(completion({ content: 'x' }, finish))).toMatchObject({ stop_reason: reason });
  });

  it('names the stop sequence where the upstream does', () => {
    const choices = [{ message: { content: 'x' }, finish_reason: 'stop', stop_reason: 'END' }];
    expect(answer({ choices }, { stop_sequences: ['END'] })).toMatchObject({
      stop_reason: 'stop_sequence',
      stop_sequence: 'END',
    });
  });

  it.each([[{}], [{ choices: [] }], [null], ['text']])('%j is none', (value) => {
    expect(() => answer(value as object)).toThrow('no chat completion');
  });

  it('leaves out a call that the limit cut off, and nothing else', () => {
    const call = (id: string, given: string): object => ({
      id,
      function: { name: 'f', arguments: given },
    });
    const tool_calls = [call('t0', '{"a":1}'), call('t1', '{"a":'), call('t2', '')];
    const usage = { prompt_tokens: 12, completion_tokens: 8, total_tokens: 20 };
    expect(answer(completion({ content: 'Hm.', tool_calls }, 'length', { usage }))).toMatchObject({
      content: [
        { type: 'text', text: 'Hm.' },
        { type: 'tool_use', id: 't0', input: { a: 1 } },
      ],
      stop_reason: 'max_tokens',
      usage: { input_tokens: 12, output_tokens: 8 },
    });
  });

  it('does not invent arguments', () => {
    const calls = [{ id: 't', function: { name: 'f', arguments: '{"a":' } }];
    expect(() => answer(completion({ tool_calls: calls }, 'tool_calls'))).toThrow('not JSON');
  });
});

describe('an error', () => {
  const error = { message: 'no', type: 'api_error', code: 'x', param: null, source: 'router' };
  it.each([
    [400, 'invalid_request_error'],
    [401, 'authentication_error'],
    [403, 'permission_error'],
    [404, 'not_found_error'],
    [409, 'invalid_request_error'],
    [413, 'request_too_large'],
    [429, 'rate_limit_error'],
    [500, 'api_error'],
    [502, 'api_error'],
    [504, 'timeout_error'],
    [529, 'overloaded_error'],
  ])('of status %d is an %s', (status, type) => {
    const { message, code, param, source } = error;
    expect(messagesError(error, status)).toEqual({
      type: 'error',
      error: { type, message, code, param, source },
    });
  });
});
