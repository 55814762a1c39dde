import { describe, expect, it } from '@jest/globals';
import { isSanctumError } from '@sanctum/errors';
import { translate } from '../translate.js';

const STAMP = { id: 'a1', createdS: 1_700_000_000, model: 'asked' };
const request = (fields: object = {}): object => ({ model: 'm', input: 'What is 2+2?', ...fields });
const chatOf = (fields: object): unknown => translate('responses', request(fields)).chat;

function refused(fields: object): { code: string; param: string | undefined; message: string } {
  try {
    translate('responses', request(fields));
  } catch (error) {
    if (isSanctumError(error)) {
      return { code: error.code, param: error.param, message: error.message };
    }
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('a request of /v1/responses as a chat completion', () => {
  it('keeps what both sides have', () => {
    const fields = {
      instructions: 'Be brief.',
      max_output_tokens: 64,
      temperature: 0.5,
      top_p: 0.9,
      stream: true,
      store: false,
      previous_response_id: null,
      metadata: { a: 'b' },
      tools: [{ type: 'function', name: 'f', parameters: { type: 'object' }, strict: true }],
      tool_choice: { type: 'function', name: 'f' },
      parallel_tool_calls: false,
      text: { format: { type: 'json_schema', name: 'n', schema: {}, strict: true } },
      reasoning: { effort: 'low' },
    };
    expect(chatOf(fields)).toEqual({
      model: 'm',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'What is 2+2?' },
      ],
      max_tokens: 64,
      temperature: 0.5,
      top_p: 0.9,
      stream: true,
      stream_options: { include_usage: true },
      tools: [
        { type: 'function', function: { name: 'f', parameters: { type: 'object' }, strict: true } },
      ],
      tool_choice: { type: 'function', function: { name: 'f' } },
      parallel_tool_calls: false,
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'n', schema: {}, strict: true },
      },
      reasoning_effort: 'low',
    });
  });

  it('gathers the items of one turn into one message', () => {
    const input = [
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'Weather?' },
          { type: 'input_image', image_url: 'https://a/b.png', detail: 'low' },
        ],
      },
      {
        type: 'reasoning',
        id: 'rs',
        summary: [],
        content: [{ type: 'reasoning_text', text: 'Look.' }],
      },
      {
        type: 'message',
        role: 'assistant',
        content: [{ type: 'output_text', text: 'One moment.', annotations: [] }],
      },
      { type: 'function_call', call_id: 'c1', name: 'weather', arguments: '{"city":"Bonn"}' },
      { type: 'function_call', call_id: 'c2', name: 'time', arguments: '{}' },
      { type: 'function_call_output', call_id: 'c1', output: 'sunny' },
      {
        type: 'function_call_output',
        call_id: 'c2',
        output: [{ type: 'input_text', text: 'noon' }],
      },
    ];
    expect(chatOf({ input })).toMatchObject({
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Weather?' },
            { type: 'image_url', image_url: { url: 'https://a/b.png', detail: 'low' } },
          ],
        },
        {
          role: 'assistant',
          content: 'One moment.',
          reasoning_content: 'Look.',
          tool_calls: [
            {
              id: 'c1',
              type: 'function',
              function: { name: 'weather', arguments: '{"city":"Bonn"}' },
            },
            { id: 'c2', type: 'function', function: { name: 'time', arguments: '{}' } },
          ],
        },
        { role: 'tool', tool_call_id: 'c1', content: 'sunny' },
        { role: 'tool', tool_call_id: 'c2', content: 'noon' },
      ],
    });
  });

  it('keeps outputs right behind the calls, whatever the assistant said between them', () => {
    const call = (id: string): object => ({
      type: 'function_call',
      call_id: id,
      name: 'f',
      arguments: '{}',
    });
    const said = (content: unknown): object => ({ type: 'message', role: 'assistant', content });
    const thought = (text: string): object => ({
      type: 'reasoning',
      summary: [],
      content: [{ type: 'reasoning_text', text }],
    });
    const output = (id: string): object => ({
      type: 'function_call_output',
      call_id: id,
      output: id,
    });
    const called = (...ids: string[]): object => ({
      tool_calls: ids.map((id) => ({
        id,
        type: 'function',
        function: { name: 'f', arguments: '{}' },
      })),
    });
    const refusal = { type: 'refusal', refusal: 'No.' };
    const turn = [thought('A'), call('c0'), said('One.'), thought('B'), said('Two.'), call('c1')];
    const input = [
      ...turn,
      output('c0'),
      output('c1'),
      ...[said('Three.'), said([refusal]), said('')],
      call('c2'),
      output('c2'),
    ];
    expect(chatOf({ input })).toEqual({
      model: 'm',
      messages: [
        {
          role: 'assistant',
          content: 'One.\nTwo.',
          reasoning_content: 'A\nB',
          ...called('c0', 'c1'),
        },
        { role: 'tool', tool_call_id: 'c0', content: 'c0' },
        { role: 'tool', tool_call_id: 'c1', content: 'c1' },
        {
          role: 'assistant',
          content: [{ type: 'text', text: 'Three.' }, refusal],
          ...called('c2'),
        },
        { role: 'tool', tool_call_id: 'c2', content: 'c2' },
      ],
    });
  });

  it.each([
    [{ store: true }, 'store'],
    [{ previous_response_id: 'resp_1' }, 'previous_response_id'],
    [{ conversation: 'c' }, 'conversation'],
    [{ background: true }, 'background'],
    [{ include: ['reasoning.encrypted_content'] }, 'include'],
    [{ truncation: 'auto' }, 'truncation'],
    [{ reasoning: { summary: 'auto' } }, 'reasoning.summary'],
    [{ tools: [{ type: 'web_search' }] }, 'tools[0].type'],
    [{ input: [{ type: 'item_reference', id: 'x' }] }, 'input[0].type'],
    [
      { input: [{ role: 'user', content: [{ type: 'input_file', file_id: 'f' }] }] },
      'input[0].content[0].type',
    ],
    [{ made_up: 1 }, 'made_up'],
  ])('refuses %j by name', (fields, param) => {
    const found = refused(fields);
    expect(found).toMatchObject({ code: 'unsupported', param });
    expect(found.message).toContain(param);
  });

  it.each([
    [{ input: undefined }, 'input'],
    [{ input: [] }, 'input'],
    [{ input: 4 }, 'input'],
    [{ max_output_tokens: 0 }, 'max_output_tokens'],
    [{ temperature: 3 }, 'temperature'],
    [{ input: [{ role: 'wizard', content: 'x' }] }, 'input[0].role'],
  ])('refuses the malformed %j', (fields, param) => {
    expect(refused(fields)).toMatchObject({ code: 'invalid_request', param });
  });
});

describe('a chat completion as a response', () => {
  const answer = (message: object, finish: string, fields: object = {}): unknown =>
    translate('responses', request(fields)).answer(
      {
        model: 'said',
        choices: [{ index: 0, message, finish_reason: finish }],
        usage: { prompt_tokens: 12, completion_tokens: 8, total_tokens: 20 },
      },
      STAMP,
    );

  it('has its items, the words of the request, and usage', () => {
    const calls = [{ id: 'c1', function: { name: 'f', arguments: '{"a":1}' } }];
    const message = { content: 'Hm.', reasoning: 'Think.', tool_calls: calls };
    expect(
      answer(message, 'tool_calls', { metadata: { a: 'b' }, instructions: 'i' }),
    ).toMatchObject({
      id: 'resp_a1',
      object: 'response',
      created_at: 1_700_000_000,
      status: 'completed',
      model: 'said',
      instructions: 'i',
      metadata: { a: 'b' },
      store: false,
      output: [
        { id: 'rs_a1_0', type: 'reasoning', content: [{ type: 'reasoning_text', text: 'Think.' }] },
        {
          id: 'msg_a1_1',
          type: 'message',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text: 'Hm.', annotations: [] }],
        },
        {
          type: 'function_call',
          call_id: 'c1',
          name: 'f',
          arguments: '{"a":1}',
          status: 'completed',
        },
      ],
      usage: { input_tokens: 12, output_tokens: 8, total_tokens: 20 },
    });
  });

  it.each([
    ['length', 'max_output_tokens'],
    ['content_filter', 'content_filter'],
  ])('%s makes it incomplete', (finish, reason) => {
    expect(answer({ content: 'x' }, finish)).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason },
    });
  });
});
