import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  AnswerInspector,
  BYTES_PER_TOKEN,
  DEFAULT_DETECTORS,
  LINE_CHARS_MAX,
  REPETITION_TIMES_MIN,
  severityOf,
  type AnswerForm,
  type AnswerReport,
} from './answer-inspector.js';
import { REPETITION_PERIOD_MAX } from './repetition.js';

const event = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
const delta = (value: unknown, finish: string | null = null): string =>
  event({ id: 'x', choices: [{ index: 0, delta: value, finish_reason: finish }] });
const stream = (...deltas: string[]): string =>
  deltas.map((content) => delta({ content })).join('') + delta({}, 'stop') + 'data: [DONE]\n\n';

/** As the router sees bytes: one character each. */
const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

function inspect(text: string, isWhole = true): AnswerReport {
  const inspector = new AnswerInspector(DEFAULT_DETECTORS, formOf(text));
  inspector.push(latin1(text));
  return inspector.report(isWhole);
}

/** As an upstream would declare it. */
function formOf(text: string): AnswerForm {
  return text.startsWith('{') ? 'body' : 'events';
}

describe('what is wrong with an answer', () => {
  it.each([
    ['no delta', stream(), 'empty_content'],
    ['only white space', stream(' ', '\n\n'), 'empty_content'],
    ['nothing at all', '', 'empty_content'],
    ['null content', delta({ content: null }, 'stop'), 'empty_content'],
    [
      'an empty message',
      JSON.stringify({ choices: [{ message: { content: '' } }] }),
      'empty_content',
    ],
    ['one unit again and again', stream(...Array<string>(60).fill('190/ ')), 'pure_repetition'],
    ['one character', stream('!'.repeat(300)), 'pure_repetition'],
    ['escaped units', stream('\n"x"\n'.repeat(80)), 'pure_repetition'],
    ['a tag over several deltas', stream('a ', '</', 'think', '>', ' b'), 'think_tag_leak'],
    ['an escaped tag', stream('#').replace('"#"', '"\\u003cthink\\u003e hm"'), 'think_tag_leak'],
    ['one blank token, cut off', delta({ content: ' ' }, 'length'), 'truncated_tiny'],
    [
      'blanks up to the limit',
      delta({ content: ' ' }, 'length') + event({ usage: { completion_tokens: 64 } }),
      'empty_content',
    ],
    ['three bytes, cut off', delta({ content: 'abc' }) + delta({}, 'length'), 'truncated_tiny'],
  ])('%s', (_name, answer, finding) => {
    expect(inspect(answer).finding).toBe(finding);
  });

  it.each([
    ['a sentence', stream('2 + 2 ', 'equals 4.')],
    ['JSON with spaces', JSON.stringify({ choices: [{ message: { content: 'Hi' } }] }, null, 2)],
    ['a completion', event({ choices: [{ text: 'Hi', finish_reason: 'stop' }] })],
    ['a refusal', delta({ refusal: 'I may not.' }, 'stop')],
    ['reasoning alone', delta({ reasoning_content: 'hm' }, 'length')],
    [
      'a tool call',
      delta({ tool_calls: [{ function: { name: 'f', arguments: '' } }] }, 'tool_calls'),
    ],
    ['four bytes, cut off', delta({ content: 'abcd' }) + delta({}, 'length')],
    ['a short repetition', stream('ha ha ha ha ha ha')],
    ['a repetition that ends otherwise', stream('190/ '.repeat(60), 'done')],
    ['words about a tag', stream('the think> tag', ' and <thinking>')],
    ['text that looks like a field', stream('say "content":"" and "finish_reason":"length"')],
  ])('nothing, with %s', (_name, answer) => {
    expect(inspect(answer).finding).toBeUndefined();
  });

  it('is not asked of an answer that broke off', () => {
    expect(inspect(delta({ role: 'assistant' }), false).finding).toBeUndefined();
  });

  it('is no leak where tags are expected', () => {
    const inspector = new AnswerInspector(
      { ...DEFAULT_DETECTORS, expectsThinking: true },
      'events',
    );
    inspector.push(stream('<think>a</think> b'));
    expect(inspector.report(true).finding).toBeUndefined();
  });

  it('is a strike when broken, and counted when suspicious', () => {
    expect(severityOf('empty_content', 'conversation')).toBe('broken');
    expect(severityOf('pure_repetition', 'conversation')).toBe('broken');
    expect(severityOf('think_tag_leak', 'conversation')).toBe('suspicious');
    expect(severityOf('truncated_tiny', 'conversation')).toBe('suspicious');
  });

  it('is never a strike of a raw text that was continued', () => {
    expect(severityOf('empty_content', 'continuation')).toBe('suspicious');
    expect(severityOf('pure_repetition', 'continuation')).toBe('suspicious');
  });
});

describe('tokens of an answer', () => {
  it('are those of the usage', () => {
    const usage = { prompt_tokens: 12, completion_tokens: 8, total_tokens: 20 };
    const expected = { promptTokens: 12, completionTokens: 8, isEstimate: false };
    expect(inspect(stream('a', 'b') + event({ choices: [], usage }))).toMatchObject(expected);
    expect(inspect(JSON.stringify({ choices: [], usage }, null, 1))).toMatchObject(expected);
    const details = { completion_tokens_details: { reasoning_tokens: 3 }, ...usage };
    expect(inspect(event({ usage: details }))).toMatchObject(expected);
    expect(inspect(event({ usage: { input_tokens: 12, output_tokens: 8 } }))).toMatchObject(
      expected,
    );
  });

  it('are the deltas that carry something when there is none', () => {
    expect(inspect(stream('a', '', 'b', 'c'))).toMatchObject({
      completionTokens: 3,
      promptTokens: undefined,
      isEstimate: true,
    });
    const reasoned = delta({ reasoning_content: 'hm' }) + stream('a');
    expect(inspect(reasoned, false).completionTokens).toBeGreaterThan(0);
  });

  it('are found behind a body of any length, of which next to nothing is kept', () => {
    const inspector = new AnswerInspector(DEFAULT_DETECTORS, 'body');
    inspector.push('{"choices":[{"message":{"content":"');
    for (let sent = 0; sent < 3 * LINE_CHARS_MAX; sent += 1_024) inspector.push('x'.repeat(1_024));
    inspector.push('"}}],"usage":{"prompt_tokens":5,"completion_tokens":70000}}');
    expect(inspector.report(true)).toEqual({
      finding: undefined,
      promptTokens: 5,
      completionTokens: 70_000,
      isEstimate: false,
      model: undefined,
      finishReason: undefined,
    });
  });
});

describe('tokens of a body without usage', () => {
  const body = (message: object): string => JSON.stringify({ choices: [{ message }] });
  const tokens = (text: string): number => {
    const { completionTokens, isEstimate } = inspect(text);
    expect(isEstimate).toBe(true);
    return completionTokens;
  };

  it('are what the bytes of its text make', () => {
    const content = 'x'.repeat(100 * BYTES_PER_TOKEN);
    expect(tokens(body({ role: 'assistant', content }))).toBe(100);
    expect(tokens(JSON.stringify({ choices: [{ text: content }] }, null, 2))).toBe(100);
    expect(tokens(body({ content: 'x'.repeat(BYTES_PER_TOKEN + 1) }))).toBe(2);
  });

  it('are at least one where there is anything, and none where there is nothing', () => {
    expect(tokens(body({ content: '4' }))).toBe(1);
    expect(tokens(body({ content: '' }))).toBe(0);
    expect(tokens('{}')).toBe(0);
  });

  it('count reasoning beside the text, and tool calls', () => {
    const reasoning_content = 'x'.repeat(50 * BYTES_PER_TOKEN);
    expect(tokens(body({ reasoning_content, content: 'x'.repeat(BYTES_PER_TOKEN) }))).toBe(51);
    const called = { name: 'note', arguments: 'x'.repeat(9 * BYTES_PER_TOKEN) };
    expect(tokens(body({ tool_calls: [{ function: called }] }))).toBe(10);
  });

  it('are estimated also where the text is too long to be read, whole or in pieces', () => {
    const long = body({ content: 'x'.repeat(3 * LINE_CHARS_MAX) });
    const about = (3 * LINE_CHARS_MAX) / BYTES_PER_TOKEN;
    expect(Math.abs(tokens(long) - about)).toBeLessThan(about / 100);
    const inspector = new AnswerInspector(DEFAULT_DETECTORS, 'body');
    for (let at = 0; at < long.length; at += 1_000) inspector.push(long.slice(at, at + 1_000));
    expect(inspector.report(true).completionTokens).toBe(tokens(long));
  });
});

describe('what an answer says of itself', () => {
  const choices = [{ delta: { content: 'a' }, finish_reason: null }];
  const end = event({ model: 'late', choices: [{ delta: {}, finish_reason: 'length' }] });

  it('is its model, as its beginning names it, and its last finish reason', () => {
    const whole = `: waiting\n\n${event({ model: 'org/m-1.5:x', choices })}${end}`;
    expect(inspect(whole)).toMatchObject({ model: 'org/m-1.5:x', finishReason: 'length' });
    const plain = { model: 'm', choices: [{ message: { content: 'a' }, finish_reason: 'stop' }] };
    expect(inspect(JSON.stringify(plain, null, 1))).toMatchObject({
      model: 'm',
      finishReason: 'stop',
    });
  });

  it('is nothing that could be a text', () => {
    const model = 'What a secret is this?';
    expect(inspect(event({ model, choices }))).toMatchObject({ model: undefined });
    expect(inspect(event({ model: 'x'.repeat(129), choices })).model).toBeUndefined();
    const reason = [{ delta: { content: 'a' }, finish_reason: 'so it is' }];
    expect(inspect(event({ choices: reason })).finishReason).toBeUndefined();
    const said = event({ choices: [{ delta: { content: '"model":"told"' } }] });
    expect(inspect(said).model).toBeUndefined();
  });
});

/** The reference parses every event and keeps all of the text. */
function reference(contents: readonly string[], finish: string): AnswerReport['finding'] {
  const text = contents.join('');
  if (text.trim() === '') {
    const tokens = contents.filter((one) => one !== '').length;
    const isTiny = finish === 'length' && tokens <= DEFAULT_DETECTORS.tinyBytes;
    return isTiny ? 'truncated_tiny' : 'empty_content';
  }
  for (let period = 1; period <= REPETITION_PERIOD_MAX; period++) {
    const unit = text.slice(0, period);
    const whole = unit.repeat(Math.ceil(text.length / period)).slice(0, text.length);
    const isLong = text.length >= DEFAULT_DETECTORS.repetitionCharsMin;
    if (whole === text && isLong && text.length >= period * REPETITION_TIMES_MIN) {
      return 'pure_repetition';
    }
  }
  if (text.includes('<think>') || text.includes('</think>')) return 'think_tag_leak';
  return finish === 'length' && text.length < DEFAULT_DETECTORS.tinyBytes
    ? 'truncated_tiny'
    : undefined;
}

describe('AnswerInspector', () => {
  const piece = fc.oneof(
    fc.constantFrom('', ' ', 'a', 'ab', '<', '</', 'think', '>', '"', '\\', '\n', '190/ '),
    fc.string({ maxLength: 5 }),
  );
  const contents = fc.oneof(
    fc.array(piece, { maxLength: 30 }),
    fc
      .tuple(fc.string({ minLength: 1, maxLength: 70 }), fc.integer({ min: 1, max: 260 }))
      .map(([unit, times]) => Array<string>(times).fill(unit)),
  );
  const finish = fc.constantFrom('stop', 'length');

  it('agrees with a reference that parses every event and keeps all text', () => {
    fc.assert(
      fc.property(contents, finish, (texts, reason) => {
        const whole =
          texts.map((content) => delta({ content })).join('') +
          delta({}, reason) +
          'data: [DONE]\n\n';
        const report = inspect(whole);
        expect(report.finding).toBe(reference(texts, reason));
        expect(report.completionTokens).toBe(texts.filter((text) => text !== '').length);
      }),
    );
  });

  it('says the same however the bytes are split', () => {
    fc.assert(
      fc.property(contents, finish, fc.array(fc.nat()), (texts, reason, cuts) => {
        const whole = latin1(
          texts.map((content) => delta({ content })).join('') + delta({}, reason),
        );
        const places = [...new Set(cuts.map((cut) => cut % (whole.length + 1)))].sort(
          (a, b) => a - b,
        );
        const inspector = new AnswerInspector(DEFAULT_DETECTORS, 'events');
        let from = 0;
        for (const to of [...places, whole.length]) {
          inspector.push(whole.slice(from, to));
          from = to;
        }
        expect(inspector.report(true)).toEqual(inspect(whole));
      }),
    );
  });

  it('takes any bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), (pieces) => {
        const inspector = new AnswerInspector(DEFAULT_DETECTORS, 'events');
        for (const one of pieces) inspector.push(latin1(one));
        expect(inspector.report(true).completionTokens).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
