import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { eventEnd, wholeEventsEnd } from './event-stream.js';
import { FirstContentDetector, type StreamVerdict } from './first-content.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const event = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
const delta = (value: unknown): string => event({ choices: [{ index: 0, delta: value }] });

function judge(...chunks: string[]): StreamVerdict {
  const detector = new FirstContentDetector();
  let verdict: StreamVerdict = 'waiting';
  for (const chunk of chunks) verdict = detector.push(bytes(chunk));
  return verdict;
}

describe('FirstContentDetector', () => {
  it.each([
    ['content', delta({ content: 'Hi' })],
    ['content parts', delta({ content: [{ type: 'text', text: 'x' }] })],
    ['reasoning_content', delta({ reasoning_content: 'hm' })],
    ['reasoning', delta({ reasoning: 'hm' })],
    ['refusal', delta({ refusal: 'no' })],
    ['a tool call', delta({ tool_calls: [{ index: 0, function: { name: 'f' } }] })],
    ['a function call', delta({ function_call: { name: 'f' } })],
    ['a finish reason', event({ choices: [{ delta: {}, finish_reason: 'stop' }] })],
    ['completion text', event({ choices: [{ text: 'x', finish_reason: null }] })],
    ['the second choice', event({ choices: [{ delta: {} }, { delta: { content: 'x' } }] })],
  ])('%s is content', (_name, stream) => {
    expect(judge(stream)).toBe('content');
  });

  it.each([
    ['a role', delta({ role: 'assistant', content: '' })],
    ['null content', delta({ content: null, tool_calls: [] })],
    ['no finish reason', event({ choices: [{ delta: {}, finish_reason: null }] })],
    ['usage alone', event({ choices: [], usage: { total_tokens: 3 } })],
    ['a comment', ': OPENROUTER PROCESSING\n\n'],
    ['what is no JSON', 'data: hello\n\n'],
    ['what is no object', 'data: 3\n\n'],
    ['an odd choice', event({ choices: [null, 3, 'x'] })],
    ['fields without data', 'id: 1\nretry: 3\n\n'],
    ['an unfinished event', `data: ${JSON.stringify({ choices: [{ text: 'x' }] })}\n`],
    ['a null error', event({ error: null, choices: [] })],
  ])('%s is not', (_name, stream) => {
    expect(judge(stream)).toBe('waiting');
  });

  it.each<[string, StreamVerdict]>([
    ['response.created', 'waiting'],
    ['response.in_progress', 'waiting'],
    ['response.output_text.delta', 'content'],
    ['response.function_call_arguments.delta', 'content'],
    ['response.completed', 'content'],
    ['response.failed', 'error'],
    ['message_start', 'waiting'],
    ['ping', 'waiting'],
    ['content_block_delta', 'content'],
    ['message_stop', 'content'],
    ['error', 'error'],
  ])('reads the event %s of another dialect as %s', (type, verdict) => {
    expect(judge(event({ type }))).toBe(verdict);
  });

  it('takes a tool call that begins for content', () => {
    const block = { type: 'tool_use', name: 'f' };
    expect(judge(event({ type: 'content_block_start', content_block: block }))).toBe('content');
    const text = { type: 'content_block_start', content_block: { type: 'text', text: '' } };
    expect(judge(event(text))).toBe('waiting');
    const item = { type: 'function_call', name: 'f' };
    expect(judge(event({ type: 'response.output_item.added', item }))).toBe('content');
  });

  it('tells an error event and an empty stream apart from content', () => {
    expect(judge(event({ error: { message: 'x' } }))).toBe('error');
    expect(judge('event: error\ndata: {"detail":"x"}\n\n')).toBe('error');
    expect(judge('data: [DONE]\n\n')).toBe('done');
    expect(judge(delta({ role: 'assistant' }), 'data: [DONE]\n\n')).toBe('done');
  });

  it('keeps its first verdict', () => {
    expect(judge(delta({ content: 'x' }), event({ error: { message: 'x' } }))).toBe('content');
  });

  it('joins the data lines of one event and skips a byte-order mark', () => {
    expect(judge('\ufeffdata: {"choices":\ndata:[{"text":"x"}]}\n\n')).toBe('content');
  });

  it('sees the same whatever the line ends and wherever the bytes are cut', () => {
    const preamble = `: ping\n\n${delta({ role: 'assistant', content: '' })}`;
    const stream = `${preamble}${delta({ content: '😀é' })}`;
    fc.assert(
      fc.property(
        fc.constantFrom('\n', '\r\n', '\r'),
        fc.array(fc.nat(400), { maxLength: 12 }),
        (newline, cuts) => {
          const whole = bytes(stream.replaceAll('\n', newline));
          const quiet = bytes(preamble.replaceAll('\n', newline)).length;
          const at = [...new Set([...cuts.filter((cut) => cut < whole.length), whole.length])];
          at.sort((a, b) => a - b);
          const detector = new FirstContentDetector();
          let from = 0;
          for (const to of at) {
            const verdict = detector.push(whole.subarray(from, to));
            if (to <= quiet) expect(verdict).toBe('waiting');
            from = to;
          }
          expect(detector.verdict).toBe('content');
        },
      ),
    );
  });

  it('takes any bytes without throwing', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (chunks) => {
        const detector = new FirstContentDetector();
        for (const chunk of chunks) detector.push(chunk);
        expect(['waiting', 'content', 'error', 'done']).toContain(detector.verdict);
      }),
    );
  });
});

describe('wholeEventsEnd', () => {
  it.each([
    ['data: a\n\n', 9],
    ['data: a\n\ndata: b', 9],
    ['data: a\r\n\r\nda', 11],
    ['data: a\r\rda', 9],
    ['data: a\n', 0],
    ['data: a\r\n', 0],
    ['', 0],
    ['\n', 0],
  ])('%j', (stream, expected) => {
    expect(wholeEventsEnd(bytes(stream))).toBe(expected);
  });
});

describe('eventEnd', () => {
  it.each([
    ['data: a\n\ndata: b\n\n', 0, 9],
    ['data: a\n\ndata: b\n\n', 9, 18],
    ['data: a\r\n\r\ndata', 0, 11],
    ['data: a\r\rda', 0, 9],
    ['data: a\ndata: b', 0, -1],
    ['data: a\n', 0, -1],
    ['data: a\r\n', 0, -1],
    ['', 0, -1],
  ])('%j from %d', (stream, from, expected) => {
    expect(eventEnd(bytes(stream), from)).toBe(expected);
  });
});
