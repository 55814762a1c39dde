import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { AnswerText, type AnswerPart } from './answer-text.js';
import { byteTokenizerFile } from './testing/byte-tokenizer.js';
import { createTokenizer } from './tokenizer.js';

const tokenizer = createTokenizer(JSON.stringify(byteTokenizerFile()));

function play(text: string, stop: readonly string[], opensReasoning = false): AnswerPart[] {
  const answer = new AnswerText({ tokenizer, stop, withReports: true, opensReasoning });
  const parts: AnswerPart[] = [];
  for (const token of tokenizer.encode(text)) {
    parts.push(answer.push({ token, logprob: -1, top: [{ token, logprob: -1 }] }));
    if (parts.at(-1)?.stopped === true) return parts;
  }
  return [...parts, answer.flush()];
}

describe('AnswerText', () => {
  it('gives a token with the text it completes', () => {
    const parts = play('ab', []);
    expect(parts.map(({ text, tokens }) => [text, tokens.length])).toEqual([
      ['a', 1],
      ['b', 1],
      ['', 0],
    ]);
  });

  it('holds a token while its text may begin a stop sequence', () => {
    const parts = play('aENx', ['END']);
    expect(parts.map(({ text, tokens }) => [text, tokens.length])).toEqual([
      ['a', 1],
      ['', 0],
      ['', 0],
      ['ENx', 3],
      ['', 0],
    ]);
  });

  it('drops the tokens of a stop sequence, and what they were drawn among', () => {
    const parts = play('abEND', ['END']);
    const last = parts.at(-1);
    expect(last).toMatchObject({ text: '', tokens: [], reports: [], stopped: true });
    expect(parts.map(({ text }) => text).join('')).toBe('ab');
    expect(parts.flatMap(({ reports }) => reports.map((report) => report.text))).toEqual([
      'a',
      'b',
    ]);
  });

  it('reports special tokens by their name, though they add nothing to the text', () => {
    const answer = new AnswerText({ tokenizer, stop: [], withReports: true });
    const tokens = ['<|im_start|>', '<|im_end|>'].map((content) => tokenizer.idOf(content) ?? -1);
    const [token = -1] = tokens;
    const top = tokens.map((entry) => ({ token: entry, logprob: -2 }));
    const part = answer.push({ token, logprob: -1, top });
    expect(part).toMatchObject({ text: '', reports: [{ text: '<|im_start|>', bytes: [] }] });
    expect(part.reports[0]?.top.map(({ text }) => text)).toEqual(['<|im_start|>', '<|im_end|>']);
  });

  it('parts thoughts from text, also where a stop sequence or the end cuts them', () => {
    const both = (text: string): string[] => {
      const parts = play(text, ['END'], true);
      return [
        parts.map((part) => part.reasoning).join(''),
        parts.map((part) => part.text).join(''),
      ];
    };
    expect(both('hm\n</think>\n\n4')).toEqual(['hm', '4']);
    expect(both('hm\n</think>\n\n4ENDx')).toEqual(['hm', '4']);
    expect(both('hm\n</thENDx')).toEqual(['hm\n</th', '']);
    expect(both('hm\n</th')).toEqual(['hm\n</th', '']);
  });

  it('reports every token of an unstopped answer once, with text and bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 20 }), (text) => {
        const parts = play(text, ['\u0000\u0001']);
        const tokens = parts.flatMap((part) => part.tokens);
        expect(tokens).toEqual([...tokenizer.encode(text)]);
        const reports = parts.flatMap((part) => part.reports);
        expect(reports.map(({ token }) => token)).toEqual(tokens);
        const bytes = Uint8Array.from(reports.flatMap((report) => report.bytes));
        expect(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)).toBe(
          parts.map((part) => part.text).join(''),
        );
      }),
    );
  });
});
