import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CompletionStreamStripper, stripCompletion } from './strip-chat.js';
import { ThoughtStripper } from './thought-stripper.js';

/** The rule in one line, for texts that are there as a whole. */
function withoutThoughts(text: string): string {
  return text.replace(/<think>[^]*?(?:<\/think>[ \t\r\n]*|$)|<\/think>[ \t\r\n]*/g, '');
}

function stripped(pieces: readonly string[]): string {
  const stripper = new ThoughtStripper();
  return pieces.map((piece) => stripper.push(piece)).join('') + stripper.end();
}

/** Texts in which tags, halves of them and what looks like them are frequent. */
const text = fc
  .array(
    fc.oneof(
      fc.constantFrom('<think>', '</think>', '<', '</', '<th', 'ink>', '</thin', '<<think>', '\n'),
      fc.string({ unit: 'binary', maxLength: 4 }),
      fc.constantFrom(' ', 'ü', '😀', '<b>'),
    ),
    { maxLength: 16 },
  )
  .map((parts) => parts.join(''));
const cuts = fc.array(fc.nat(80), { maxLength: 12 });

/** Cut anywhere, between the halves of a character as well. */
function cutAt(whole: string, places: readonly number[]): string[] {
  const at = [0, ...places.map((place) => place % (whole.length + 1)).sort((a, b) => a - b)];
  return at.map((start, index) => whole.slice(start, at[index + 1] ?? whole.length));
}

describe('a text without its thoughts', () => {
  it.each([
    ['<think>hm</think>\n\n4', '4'],
    ['<think>\n\n</think>\n\n4', '4'],
    ['a <think>x</think> b', 'a b'],
    ['hm</think>\n4', 'hm4'],
    ['4 <think>and so', '4 '],
    ['1 < 2 and <thinker>', '1 < 2 and <thinker>'],
    ['a <th', 'a <th'],
    ['<think>a<think>b</think>c', 'c'],
    ['<think>a</thin</think>b', 'b'],
    ['', ''],
  ])('%j is %j', (whole, rest) => {
    expect(stripped([whole])).toBe(rest);
    expect(stripped(Array.from(whole))).toBe(rest);
  });

  it('is the same however the text was cut', () => {
    fc.assert(
      fc.property(text, cuts, (whole, places) => {
        expect(stripped(cutAt(whole, places))).toBe(withoutThoughts(whole));
      }),
      { numRuns: 2_000 },
    );
  });

  it('keeps back no more than what may be the beginning of a tag', () => {
    fc.assert(
      fc.property(text, cuts, (whole, places) => {
        const stripper = new ThoughtStripper();
        let [seen, shown] = ['', ''];
        for (const piece of cutAt(whole, places)) {
          seen += piece;
          shown += stripper.push(piece);
          const due = withoutThoughts(seen);
          expect(due.startsWith(shown)).toBe(true);
          expect('</think>'.length).toBeGreaterThan(due.length - shown.length);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

const chunk = (delta: object, rest: object = {}): string =>
  JSON.stringify({
    ...{ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm' },
    choices: [{ index: 0, delta, finish_reason: null, ...rest }],
  });

/** The data a client gets. */
function streamed(data: readonly string[]): string[] {
  const stripper = new CompletionStreamStripper();
  const out = data.flatMap((one): string[] => {
    const event = stripper.push(one);
    switch (event.kind) {
      case 'nothing':
        return [];
      case 'ending':
        return [...stripper.end(), one];
      case 'same':
        return [one];
      case 'data':
        return [event.data];
    }
  });
  return [...out, ...stripper.end()];
}

interface Chunk {
  choices: { delta?: { content?: string }; text?: string; index: number }[];
}

function contentOf(data: readonly string[], index = 0): string {
  return data
    .map((one) => (JSON.parse(one) as Chunk).choices.find((choice) => choice.index === index))
    .map((choice) => choice?.delta?.content ?? choice?.text ?? '')
    .join('');
}

describe('a stream without its thoughts', () => {
  it('says what the whole text says, however it was cut', () => {
    fc.assert(
      fc.property(text, cuts, fc.boolean(), (whole, places, finishes) => {
        const pieces = cutAt(whole, places).map((content) => chunk({ content }));
        const last = finishes ? [chunk({}, { finish_reason: 'stop' })] : [];
        const out = streamed([...pieces, ...last]);
        expect(contentOf(out)).toBe(withoutThoughts(whole));
        const message = { role: 'assistant', content: whole };
        expect(stripCompletion({ choices: [{ index: 0, message }] })).toMatchObject({
          choices: [{ message: { content: withoutThoughts(whole) } }],
        });
      }),
      { numRuns: 500 },
    );
  });

  it('is event for event the same where there are none', () => {
    const data = [chunk({ role: 'assistant', content: '' }), chunk({ content: 'a > b' })];
    const stripper = new CompletionStreamStripper();
    for (const one of data) expect(stripper.push(one)).toEqual({ kind: 'same' });
    expect(stripper.isIdle).toBe(true);
    expect(stripper.push('not JSON')).toEqual({ kind: 'same' });
    expect(stripper.push('[DONE]')).toEqual({ kind: 'ending' });
    expect(stripper.push('{"error":{"message":"<think>"}}')).toEqual({ kind: 'ending' });
  });

  it('leaves an event out that had nothing else, and keeps the first role', () => {
    const data = [
      chunk({ role: 'assistant', content: '<think>' }),
      chunk({ role: 'assistant', content: 'hm' }),
      chunk({ reasoning_content: 'hm' }),
      chunk({ reasoning: 'hm', content: null }),
      chunk({ content: '</think>\n4' }),
    ];
    expect(streamed(data).map((one) => (JSON.parse(one) as Chunk).choices[0]?.delta)).toEqual([
      { role: 'assistant', content: '' },
      { content: '4' },
    ]);
  });

  it('keeps usage, finish reasons and tool calls that come with a thought', () => {
    const tool = { tool_calls: [{ index: 0, function: { name: 'f', arguments: '<think>' } }] };
    const data = [
      chunk({ content: '<think>a', ...tool }),
      JSON.stringify({ ...JSON.parse(chunk({ content: 'b' })), usage: { completion_tokens: 9 } }),
      chunk({ content: 'c' }, { finish_reason: 'tool_calls' }),
    ];
    const out = streamed(data).map((one) => JSON.parse(one) as Chunk & { usage?: object });
    expect(out[0]?.choices[0]?.delta).toEqual({ content: '', ...tool });
    expect(out[1]).toMatchObject({ usage: { completion_tokens: 9 } });
    expect(out[2]).toMatchObject({ choices: [{ finish_reason: 'tool_calls' }] });
    expect(contentOf(streamed(data))).toBe('');
  });

  it('gives back what was no tag with the finish reason, or at the end', () => {
    const finish = chunk({}, { finish_reason: 'stop' });
    const ended = streamed([chunk({ content: '1 <' }), finish]);
    expect(ended).toHaveLength(2);
    expect(contentOf(ended)).toBe('1 <');
    const cut = streamed([chunk({ content: '1 <' })]);
    expect(JSON.parse(cut[1] ?? '')).toEqual({
      ...{ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm' },
      choices: [{ index: 0, delta: { content: '<' }, finish_reason: null }],
    });
  });

  it('keeps choices apart, and reads text completions', () => {
    const of = (index: number, piece: string): string =>
      JSON.stringify({ object: 'text_completion', choices: [{ index, text: piece }] });
    const data = [of(0, '<think>a'), of(1, 'b'), of(0, '</think>c<'), of(1, 'd')];
    const out = streamed(data);
    expect([contentOf(out, 0), contentOf(out, 1)]).toEqual(['c<', 'bd']);
  });

  it('leaves log probabilities out with the text they are of', () => {
    const logprobs = { content: [{ token: 'hm', logprob: -1 }] };
    const out = streamed([
      chunk({ content: 'a<think>hm' }, { logprobs }),
      chunk({ content: 'hm</think>b' }, { logprobs }),
      chunk({ content: 'c' }, { logprobs }),
    ]);
    const seen = out.map((one) => (JSON.parse(one) as { choices: object[] }).choices[0]);
    expect(seen).toMatchObject([{ logprobs: null }, { logprobs: null }, { logprobs }]);
  });
});

describe('a completion without its thoughts', () => {
  const completion = (message: object): object => ({
    ...{ id: 'c', object: 'chat.completion', usage: { completion_tokens: 9 } },
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', ...message } }],
  });

  it('is the very same where there are none', () => {
    const plain = completion({ content: '4', tool_calls: [{ id: 't' }] });
    expect(stripCompletion(plain)).toBe(plain);
    for (const other of [null, 'x', [], { choices: {} }, { error: {} }]) {
      expect(stripCompletion(other)).toBe(other);
    }
  });

  it('has neither tags nor reasoning of its own, and all the rest', () => {
    const message = { content: '<think>hm</think> 4', reasoning_content: 'hm', reasoning: 'hm' };
    expect(stripCompletion(completion(message))).toEqual(completion({ content: '4' }));
    const parts = [
      { type: 'text', text: '<think>' },
      { type: 'image' },
      { type: 'text', text: 'x' },
    ];
    expect(stripCompletion(completion({ content: parts }))).toEqual(
      completion({ content: [{ type: 'text', text: '' }, parts[1], { type: 'text', text: '' }] }),
    );
    const called = { content: null, reasoning: 'hm', tool_calls: [{ id: 't' }] };
    expect(stripCompletion(completion(called))).toEqual(
      completion({ content: null, tool_calls: [{ id: 't' }] }),
    );
  });
});
