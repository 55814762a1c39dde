import { describe, expect, it } from '@jest/globals';
import { endOfSequenceId } from './end-of-sequence.js';
import { byteTokenizerFile } from './testing/byte-tokenizer.js';
import { createTokenizer } from './tokenizer.js';

const tokenizer = createTokenizer(JSON.stringify(byteTokenizerFile()));
const IM_END = tokenizer.idOf('<|im_end|>');
const TEXT_END = tokenizer.idOf('<|endoftext|>');

function named(config?: object, map?: object): number | undefined {
  return endOfSequenceId(tokenizer, {
    config: config && JSON.stringify(config),
    specialTokensMap: map && JSON.stringify(map),
  });
}

describe('endOfSequenceId', () => {
  it('reads a token as text or as an object, from the first file that names one', () => {
    expect(IM_END).toBeDefined();
    expect(named({ eos_token: '<|im_end|>' })).toBe(IM_END);
    expect(named({ eos_token: { content: '<|im_end|>', special: true } })).toBe(IM_END);
    expect(named({ eos_token: null }, { eos_token: '<|im_end|>' })).toBe(IM_END);
    expect(named({ eos_token: '<|im_end|>' }, { eos_token: '<|endoftext|>' })).toBe(IM_END);
    expect(named(undefined, { eos_token: '<|endoftext|>' })).toBe(TEXT_END);
  });

  it('knows none where no file names a token of this tokenizer', () => {
    expect(named()).toBeUndefined();
    expect(named({}, { eos_token: 7 })).toBeUndefined();
    expect(named({ eos_token: '</s>' })).toBeUndefined();
  });

  it('refuses a file that is no JSON object', () => {
    expect(() => endOfSequenceId(tokenizer, { specialTokensMap: '[]' })).toThrow(
      /special_tokens_map\.json/,
    );
  });
});
