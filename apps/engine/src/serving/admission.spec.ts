import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Admission } from './admission.js';
import { parseJsonBody } from './json-body.js';
import { assertPromptFits, limitCompletion, PROMPT_BYTES_PER_TOKEN_MAX } from './prompt.js';

const retryAfterS = () => 1;

describe('Admission', () => {
  it('leaves a quarter of the places to others than the one who takes all it gets', () => {
    const admission = new Admission({ placesMax: () => 8, retryAfterS });
    const [leave] = Array.from({ length: 6 }, () => admission.enter('greedy'));
    expect(() => admission.enter('greedy')).toThrow(/You have 6 requests open/);
    admission.enter('other')();
    admission.enter('other');
    leave?.();
    admission.enter('greedy');
    admission.enter('third');
    expect(() => admission.enter('fourth')).toThrow(/All 8 places are taken/);
  });

  it('never holds more than its places and gets every one back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.boolean()), (placesMax, moves) => {
        const admission = new Admission({
          placesMax: () => placesMax,
          perClientMax: 5,
          retryAfterS,
        });
        const held: (() => void)[] = [];
        for (const enters of moves) {
          if (!enters) {
            const leave = held.shift();
            leave?.();
            leave?.();
          } else if (held.length < placesMax) {
            held.push(admission.enter('a'));
          } else {
            expect(() => admission.enter('b')).toThrow(/places are taken/);
          }
          expect(admission.taken).toBe(held.length);
        }
      }),
    );
  });

  it('says when to come back', () => {
    let estimate = 1;
    const admission = new Admission({ placesMax: () => 0, retryAfterS: () => estimate });
    for (estimate of [1, 17]) {
      expect(() => admission.enter('a')).toThrow(
        expect.objectContaining({ code: 'queue_full', retryAfterS: estimate }),
      );
    }
  });
});

describe('parseJsonBody', () => {
  it('reads what JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        expect(parseJsonBody(Buffer.from(text))).toEqual(JSON.parse(text));
      }),
    );
  });

  it('never repeats what was sent', () => {
    const body = Buffer.from('{"messages": "my secret" oops');
    expect(() => parseJsonBody(body)).toThrow(/^The body is not valid JSON \(at position \d+\)\.$/);
  });
});

describe('assertPromptFits', () => {
  const text = (bytes: number) => ({ kind: 'text', text: 'a'.repeat(bytes) }) as const;

  it('counts bytes, not characters', () => {
    const max = 10 * PROMPT_BYTES_PER_TOKEN_MAX;
    expect(() => assertPromptFits(text(max), 10)).not.toThrow();
    expect(() => assertPromptFits(text(max + 1), 10)).toThrow(/641 bytes.*10 tokens/);
    const wide = { kind: 'text', text: '€'.repeat(max / 3 + 1) } as const;
    expect(() => assertPromptFits(wide, 10)).toThrow(/cannot hold it/);
    const tokens = { kind: 'tokens', tokens: Array<number>(11).fill(1) } as const;
    expect(() => assertPromptFits(tokens, 10)).toThrow();
  });

  it('adds the messages of a chat up', () => {
    const message = { role: 'user' as const, content: 'a'.repeat(400) };
    const prompt = { kind: 'chat', messages: [message, message], enableThinking: false } as const;
    expect(() => assertPromptFits(prompt, 10)).toThrow(
      expect.objectContaining({ code: 'context_length_exceeded', param: 'messages' }),
    );
    expect(() => assertPromptFits(prompt, 13)).not.toThrow();
  });
});

describe('limitCompletion', () => {
  const options = { stop: [], ignoreEos: false } as unknown as Parameters<
    typeof limitCompletion
  >[0];

  it('fills in the limit, and refuses a larger wish', () => {
    expect(limitCompletion(options, undefined)).toBe(options);
    expect(limitCompletion(options, 9).maxTokens).toBe(9);
    expect(limitCompletion({ ...options, maxTokens: 4 }, 9).maxTokens).toBe(4);
    expect(() => limitCompletion({ ...options, maxTokens: 10 }, 9)).toThrow(/at most 9, found 10/);
  });
});
