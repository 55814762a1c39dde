import { describe, expect, it } from '@jest/globals';
import { DIALECT_LIMITS } from '@sanctum/dialects';
import { DEFAULT_LIMITS } from '../limits.js';
import { answerTo, type OneAnswer } from './one-answer.fixture.js';

const chunk = (content: string): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`;
const END = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';
const ASKED = {
  messages: { max_tokens: 9, messages: [{ role: 'user', content: 'x' }], stream: true },
  responses: { input: 'x', stream: true },
};
const answered = (dialect: keyof typeof ASKED, answer: OneAnswer): Promise<string> =>
  answerTo(`/v1/${dialect}`, ASKED[dialect], answer);

describe.each([
  ['messages', 'error', 'message_stop'],
  ['responses', 'response.failed', 'response.completed'],
] as const)('a translated stream of %s', (dialect, failure, ending) => {
  const endings = (text: string): string[] =>
    [...text.matchAll(/^event: (.*)$/gm)].flatMap(([, name = '']) =>
      name === failure || name === ending ? [name] : [],
    );

  it('ends with one error at an event that is too long, whatever follows', async () => {
    const long = `data: ${'x'.repeat(DIALECT_LIMITS.eventBytes + (1 << 20))}\n\n`;
    const body = chunk('first') + long + long + chunk('last') + END;
    const text = await answered(dialect, { type: 'text/event-stream', body });
    expect(endings(text)).toEqual([failure]);
    expect(text).toContain('first');
    expect(text).toContain(`An event exceeds ${DIALECT_LIMITS.eventBytes} bytes.`);
    expect(text).not.toContain('last');
  });

  it('has an event that a chat client would get in parts', async () => {
    const content = 'x'.repeat(4 * DEFAULT_LIMITS.eventBytesMax);
    const body = chunk(content) + END;
    const text = await answered(dialect, { type: 'text/event-stream', body });
    expect(endings(text)).toEqual([ending]);
    expect(text).toContain(content);
  });

  it('has every call of a whole answer, though they share an id', async () => {
    const tool_calls = ['one', 'two'].map((name) => ({
      id: 'c',
      function: { name, arguments: '{}' },
    }));
    const completion = { choices: [{ message: { tool_calls }, finish_reason: 'tool_calls' }] };
    const body = JSON.stringify(completion);
    const text = await answered(dialect, { type: 'application/json', body });
    expect(endings(text)).toEqual([ending]);
    expect(text).toContain('"name":"one"');
    expect(text).toContain('"name":"two"');
  });
});
