import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { chunk, eventsOf, readEvents, STAMP, USAGE, type NamedEvent } from './stream.fixture.js';
import { translate } from './translate.js';
import { DIALECT_LIMITS, type AnswerStream } from './translation.js';

const messages = (): AnswerStream =>
  translate('messages', {
    max_tokens: 9,
    messages: [{ role: 'user', content: 'x' }],
    stream: true,
  }).openStream(STAMP);
const responses = (): AnswerStream =>
  translate('responses', { input: 'x', stream: true }).openStream(STAMP);
const typesOf = (events: readonly NamedEvent[]): string[] => events.map(({ type }) => type);

const TEXT = [
  chunk({ role: 'assistant', content: '' }),
  chunk({ content: '2 + 2 ' }),
  chunk({ content: 'equals 4.' }),
  chunk({}, 'stop'),
  JSON.stringify({ model: 'said', choices: [], usage: USAGE }),
  '[DONE]',
];
const call = (index: number, fields: object): object => ({ tool_calls: [{ index, ...fields }] });
const TOOLS = [
  chunk({ reasoning_content: 'Look.' }),
  chunk({ content: 'One moment.' }),
  chunk(call(0, { id: 'c0', type: 'function', function: { name: 'weather', arguments: '' } })),
  chunk(call(0, { function: { arguments: '{"city":' } })),
  chunk(call(1, { id: 'c1', type: 'function', function: { name: 'time', arguments: '{}' } })),
  chunk(call(0, { function: { arguments: '"Bonn"}' } })),
  chunk({}, 'tool_calls'),
  '[DONE]',
];

describe('events of /v1/messages', () => {
  it('are those Anthropic sends for text', () => {
    const events = eventsOf(messages(), TEXT);
    expect(typesOf(events)).toEqual([
      'message_start',
      'ping',
      'content_block_start',
      'content_block_delta',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ]);
    expect(events[0]).toMatchObject({ message: { id: 'msg_a1', model: 'said', content: [] } });
    expect(events[3]).toMatchObject({ index: 0, delta: { type: 'text_delta', text: '2 + 2 ' } });
    expect(events[6]).toMatchObject({
      delta: { stop_reason: 'end_turn', stop_sequence: null },
      usage: { input_tokens: 8, output_tokens: 8, cache_read_input_tokens: 4 },
    });
  });

  it('say about how much there was where nobody counted', () => {
    const uncounted = TEXT.filter((data) => !data.includes('prompt_tokens'));
    expect(eventsOf(messages(), uncounted).at(-2)).toMatchObject({
      type: 'message_delta',
      usage: { input_tokens: null, output_tokens: 2, cache_read_input_tokens: null },
    });
    const response = eventsOf(responses(), uncounted).at(-1);
    expect(response).toMatchObject({ type: 'response.completed', response: { usage: null } });
  });

  it('leave thoughts out where thinking was disabled', () => {
    const asked = { max_tokens: 9, messages: [{ role: 'user', content: 'x' }], stream: true };
    const open = (fields: object): AnswerStream =>
      translate('messages', { ...asked, thinking: fields }).openStream(STAMP);
    const [first] = accumulateMessage(eventsOf(open({ type: 'disabled' }), TOOLS));
    expect(first).toEqual({ type: 'text', text: 'One moment.' });
    const [thought] = accumulateMessage(eventsOf(open({ type: 'adaptive' }), TOOLS));
    expect(thought).toEqual({ type: 'thinking', text: 'Look.' });
  });

  it('open one block at a time, whatever the order of the deltas', () => {
    const events = eventsOf(messages(), TOOLS);
    expect(accumulateMessage(events)).toEqual([
      { type: 'thinking', text: 'Look.' },
      { type: 'text', text: 'One moment.' },
      { type: 'tool_use', id: 'c0', name: 'weather', text: '{"city":"Bonn"}' },
      { type: 'tool_use', id: 'c1', name: 'time', text: '{}' },
    ]);
    expect(events.at(-2)).toMatchObject({ delta: { stop_reason: 'tool_use' } });
  });
});

describe('events of /v1/responses', () => {
  it('are those OpenAI sends for text', () => {
    const events = eventsOf(responses(), TEXT);
    expect(typesOf(events)).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ]);
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual([...events.keys()]);
    expect(events.at(-1)).toMatchObject({
      response: {
        status: 'completed',
        model: 'said',
        output: [{ content: [{ text: '2 + 2 equals 4.' }], status: 'completed' }],
        usage: { input_tokens: 12, output_tokens: 8, total_tokens: 20 },
      },
    });
  });

  it('carry tool calls that were interleaved', () => {
    const events = eventsOf(responses(), TOOLS);
    expect(typesOf(events)).toContain('response.function_call_arguments.done');
    expect(outputOf(events)).toMatchObject([
      { type: 'reasoning', content: [{ text: 'Look.' }] },
      { type: 'message', content: [{ text: 'One moment.' }] },
      { type: 'function_call', call_id: 'c0', name: 'weather', arguments: '{"city":"Bonn"}' },
      { type: 'function_call', call_id: 'c1', name: 'time', arguments: '{}' },
    ]);
  });

  it('say why an answer is incomplete', () => {
    const events = eventsOf(responses(), [chunk({ content: 'x' }, 'length'), '[DONE]']);
    expect(events.at(-1)).toMatchObject({
      type: 'response.incomplete',
      response: { incomplete_details: { reason: 'max_output_tokens' } },
    });
  });
});

describe.each([
  ['messages', messages, 'error'],
  ['responses', responses, 'response.failed'],
] as const)('a stream of %s', (_name, open, failure) => {
  it('that breaks off unfinished ends with an error, once', () => {
    const stream = open();
    const text = stream.push(chunk({ content: 'x' })) + stream.end();
    expect(typesOf(readEvents(text)).at(-1)).toBe(failure);
    expect(stream.end() + stream.push(chunk({ content: 'more' }))).toBe('');
  });

  it('that ends with a finish reason and no [DONE] is whole', () => {
    const stream = open();
    const text = stream.push(chunk({ content: 'x' }, 'stop')) + stream.end();
    expect(typesOf(readEvents(text)).at(-1)).not.toBe(failure);
  });

  it.each([[{ error: { message: 'out of memory', code: 500 } }], [{ error: 'out of memory' }]])(
    'passes %j on as its last event',
    (event) => {
      const stream = open();
      stream.push(chunk({ content: 'x' }));
      const last = readEvents(stream.push(JSON.stringify(event)) + stream.end()).at(-1);
      expect(last?.type).toBe(failure);
      expect(JSON.stringify(last)).toContain('out of memory');
    },
  );

  it('ends with the error it is told', () => {
    const stream = open();
    stream.push(chunk({ content: 'x' }));
    const error = { message: 'gone', type: 'api_error', code: 'c', param: null, source: 'router' };
    expect(JSON.stringify(readEvents(stream.fail(error)).at(-1))).toContain('gone');
    expect(stream.fail(error) + stream.end()).toBe('');
  });

  it('refuses what is no event of a chat stream', () => {
    expect(() => open().push('{"choices":')).toThrow('not JSON');
    expect(() => open().push('{"hello":1}')).toThrow('no chat completion');
  });

  it('is bounded', () => {
    const stream = open();
    const piece = chunk({ content: 'x'.repeat(1 << 20) });
    for (let sent = 1; sent <= DIALECT_LIMITS.answerCharacters >> 20; sent++) stream.push(piece);
    expect(() => stream.push(piece)).toThrow(`exceeds ${DIALECT_LIMITS.answerCharacters} char`);
    const calls = open();
    const named = (index: number): string =>
      chunk(call(index, { id: `c${index}`, function: { name: 'f', arguments: '{}' } }));
    for (let index = 0; index < DIALECT_LIMITS.toolCalls; index++) calls.push(named(index));
    expect(() => calls.push(named(DIALECT_LIMITS.toolCalls))).toThrow('tool calls');
  });
});

describe('tool calls as servers send them', () => {
  const whole = (...deltas: object[]): unknown =>
    accumulateMessage(eventsOf(messages(), [...deltas.map((delta) => chunk(delta)), '[DONE]']));
  const f = (given: string): object => ({ function: { name: 'f', arguments: given } });

  it.each<[string, object[], object[]]>([
    [
      'id and name in every piece',
      [call(0, { id: 'a', ...f('{"x"') }), call(0, { id: 'a', ...f(':1}') })],
      [{ id: 'a', text: '{"x":1}' }],
    ],
    [
      'without index',
      [{ tool_calls: [{ id: 'a', ...f('{}') }] }, { tool_calls: [{ id: 'b', ...f('{}') }] }],
      [{ id: 'a' }, { id: 'b' }],
    ],
    [
      'without id',
      [call(0, f('{}')), call(1, f('{}'))],
      [{ id: 'toolu_a1_0' }, { id: 'toolu_a1_1' }],
    ],
    [
      'one id at two indexes',
      [
        call(0, { id: 'a', ...f('{"x"') }),
        call(1, { id: 'a', ...f('{"y"') }),
        call(0, { id: 'a', function: { arguments: ':1}' } }),
        call(1, { function: { arguments: ':2}' } }),
      ],
      [
        { id: 'a', text: '{"x":1}' },
        { id: 'toolu_a1_1', text: '{"y":2}' },
      ],
    ],
    [
      'all at index 0',
      [call(0, { id: 'a', ...f('{}') }), call(0, { id: 'b', ...f('{}') })],
      [{ id: 'a' }, { id: 'b' }],
    ],
    [
      'all at index 0, without id',
      [
        call(0, f('{"x"')),
        call(0, f(':1}')),
        call(0, f('')),
        call(0, { function: { name: 'g' } }),
        call(0, { function: { arguments: '{}' } }),
        call(0, { function: { name: 'g', arguments: '{"y":2}' } }),
      ],
      [
        { id: 'toolu_a1_0', name: 'f', text: '{"x":1}' },
        { id: 'toolu_a1_1', name: 'g', text: '{}' },
        { id: 'toolu_a1_2', name: 'g', text: '{"y":2}' },
      ],
    ],
    [
      'with arguments as an object',
      [call(0, { id: 'a', function: { name: 'f', arguments: { x: 1 } } })],
      [{ text: '{"x":1}' }],
    ],
    [
      'with the name after the arguments',
      [
        call(0, { id: 'a', function: { arguments: '{"x"' } }),
        call(0, { function: { name: 'f', arguments: ':1}' } }),
      ],
      [{ id: 'a', name: 'f', text: '{"x":1}' }],
    ],
  ])('%s', (_name, deltas, expected) => {
    expect(whole(...deltas)).toMatchObject(expected);
  });

  it('whole, with one id for all', () => {
    const tool_calls = ['{"x":1}', '{"x":2}'].map((given) => ({ id: 'a', index: 0, ...f(given) }));
    const completion = { choices: [{ message: { tool_calls }, finish_reason: 'tool_calls' }] };
    const asked = { max_tokens: 9, messages: [{ role: 'user', content: 'x' }] };
    expect(translate('messages', asked).answer(completion, STAMP)).toMatchObject({
      content: [
        { id: 'a', input: { x: 1 } },
        { id: 'toolu_a1_1', input: { x: 2 } },
      ],
    });
    expect(translate('responses', { input: 'x' }).answer(completion, STAMP)).toMatchObject({
      output: [
        { call_id: 'a', arguments: '{"x":1}' },
        { call_id: 'call_a1_1', arguments: '{"x":2}' },
      ],
    });
  });
});

describe('a stream and a whole answer', () => {
  const parts = fc.record({
    reasoning: fc.array(fc.string({ minLength: 1 }), { maxLength: 3 }),
    content: fc.array(fc.string({ minLength: 1 }), { maxLength: 4 }),
    calls: fc.array(fc.array(fc.string(), { minLength: 1, maxLength: 3 }), { maxLength: 3 }),
  });

  it('say the same, however the stream was cut', () => {
    fc.assert(
      fc.property(parts, fc.infiniteStream(fc.nat()), ({ reasoning, content, calls }, picks) => {
        const tool_calls = calls.map((pieces, index) => ({
          id: `c${index}`,
          function: { name: 'f', arguments: JSON.stringify({ x: pieces.join('') }) },
        }));
        const message = { content: content.join(''), reasoning: reasoning.join(''), tool_calls };
        const deltas = [
          ...reasoning.map((text) => chunk({ reasoning: text })),
          ...content.map((text) => chunk({ content: text })),
          ...interleaved(tool_calls, () => Number(picks.next().value)),
          chunk({}, 'stop'),
          '[DONE]',
        ];
        const completion = { model: 'said', choices: [{ message, finish_reason: 'stop' }] };
        const response = translate('responses', { input: 'x' }).answer(completion, STAMP);
        expect(outputOf(eventsOf(responses(), deltas))).toEqual(
          (response as { output: unknown }).output,
        );
        const asked = { max_tokens: 9, messages: [{ role: 'user', content: 'x' }] };
        const answer = translate('messages', asked).answer(completion, STAMP) as {
          content: Record<string, unknown>[];
        };
        expect(accumulateMessage(eventsOf(messages(), deltas))).toEqual(answer.content.map(asText));
      }),
    );
  });
});

/** Pieces of several calls in an order that is picked. */
function interleaved(
  calls: readonly { id: string; function: { name: string; arguments: string } }[],
  pick: () => number,
): string[] {
  const opened = calls.map(({ id, function: { name } }, index) =>
    chunk(call(index, { id, function: { name, arguments: '' } })),
  );
  const left = calls.map(({ function: { arguments: text } }, index) => ({ index, text }));
  const out = [...opened];
  while (left.some(({ text }) => text !== '')) {
    const open = left.filter(({ text }) => text !== '');
    const one = open[pick() % open.length];
    if (one === undefined) break;
    const size = 1 + (pick() % 5);
    out.push(chunk(call(one.index, { function: { arguments: one.text.slice(0, size) } })));
    one.text = one.text.slice(size);
  }
  return out;
}

function outputOf(events: readonly NamedEvent[]): unknown {
  return (events.at(-1)?.['response'] as { output?: unknown } | undefined)?.output;
}

/** Blocks as a client puts them together; throws where the events are out of order. */
function accumulateMessage(events: readonly NamedEvent[]): Record<string, unknown>[] {
  const blocks: Record<string, unknown>[] = [];
  let open = false;
  for (const event of events) {
    if (!event.type.startsWith('content_block')) continue;
    const isStart = event.type === 'content_block_start';
    if (open === isStart) throw new Error('a block opens or closes twice');
    open = event.type !== 'content_block_stop';
    if (isStart) blocks.push(opened(event['content_block'] as Record<string, unknown>));
    if (event['index'] !== blocks.length - 1) throw new Error('blocks out of order');
    const block = blocks.at(-1);
    if (event.type === 'content_block_delta' && block !== undefined) {
      const { text, thinking, partial_json } = event['delta'] as Record<string, string>;
      block['text'] = `${String(block['text'])}${text ?? thinking ?? partial_json ?? ''}`;
    }
  }
  return blocks;
}

function opened({ type, id, name }: Record<string, unknown>): Record<string, unknown> {
  return { type, ...(id === undefined ? {} : { id, name }), text: '' };
}

function asText(block: Record<string, unknown>): Record<string, unknown> {
  const { type, id, name, text, thinking, input } = block;
  const said = text ?? thinking ?? JSON.stringify(input);
  return { type, ...(id === undefined ? {} : { id, name }), text: said };
}
