import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { isSanctumError } from '@sanctum/errors';
import fc from 'fast-check';
import { segments } from './segments.js';
import { byteTokenizerFile, SPECIALS } from './testing/byte-tokenizer.js';
import { createTokenizer, type Tokenizer } from './tokenizer.js';
import { UpstreamTokenizer } from './upstream-tokenizer.js';

const padawan = new URL('../../../deploy/models/padawan/tokenizer.json', import.meta.url);
const file = byteTokenizerFile();
const tokenizer = createTokenizer(JSON.stringify(file));
const upstream = new UpstreamTokenizer(file, {});
const encodeWhole = (text: string): number[] =>
  upstream.encode(text, { add_special_tokens: false }).ids;

/** Half characters become U+FFFD, as everywhere text becomes bytes. */
const wellFormed = (text: string): string => text.replaceAll(/\p{Surrogate}/gu, '\ufffd');

/** Text with what pre-tokenizers trip over: runs of spaces, newlines, marks, specials, halves. */
const awkward = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ' ',
        '  ',
        '\n',
        '\r\n',
        '\t',
        '!',
        "'s",
        '12',
        'the',
        'ä',
        'e\u0301',
        '漢字',
      ),
      fc.constantFrom('😀', '<|im_end|>', '<think>', '\u00a0', '\u3000', 'ü !\n\n x'),
      fc.string({ maxLength: 6 }),
      fc.string({ unit: 'binary', maxLength: 4 }),
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join(''));

describe('encoding', () => {
  it('splits digits, keeps merges and makes special tokens themselves', () => {
    const ids = [...tokenizer.encode('<|im_start|>the 12')];
    expect(ids).toEqual([
      tokenizer.idOf('<|im_start|>'),
      tokenizer.idOf('t'),
      tokenizer.idOf('he'),
      tokenizer.idOf('Ġ'),
      tokenizer.idOf('1'),
      tokenizer.idOf('2'),
    ]);
  });

  // Recorded from the tokenizers library of Hugging Face (Rust, 0.23.3) over the same file.
  it.each([
    ['the the 1234', [116, 257, 258, 32, 49, 50, 51, 52]],
    ['    a\r\n\n b', [262, 32, 260, 13, 266, 32, 98]],
    [
      "I'll  pay 12%!\n\nthen",
      [73, 39, 108, 108, 32, 32, 112, 97, 121, 32, 49, 50, 37, 33, 266, 116, 257, 110],
    ],
    ['e\u0301 漢 😀', [195, 169, 32, 230, 188, 162, 32, 240, 159, 152, 128]],
    ['<|im_start|>user\nthe<|im_end|><think>', [269, 117, 115, 259, 10, 116, 257, 270, 271]],
    [' \u00a0\u3000x', [32, 194, 160, 227, 128, 128, 120]],
    ['end!\nnext', [101, 110, 100, 267, 110, 101, 120, 116]],
  ])('of %j is what the reference gives', (text, ids) => {
    expect([...tokenizer.encode(text)]).toEqual(ids);
  });

  it('of segments is that of the whole', () => {
    const piece = fc.constantFrom(
      'the',
      ' the',
      '  ',
      ' ',
      'x!\n',
      '!\n\n',
      '\n',
      "I'll",
      '12',
      ' ä',
    );
    const text = fc.array(piece, { minLength: 10, maxLength: 60 }).map((parts) => parts.join(''));
    let cutAtSeams = 0;
    fc.assert(
      fc.property(fc.oneof(text, awkward), fc.integer({ min: 20, max: 60 }), (whole, chars) => {
        const pieces = [...segments(whole, [...SPECIALS, '<think>', '</think>'], chars)];
        expect(pieces.join('')).toBe(whole);
        // A piece of full length was cut hard, for want of a seam.
        if (pieces.slice(0, -1).some((each) => each.length >= chars)) return;
        if (pieces.length > 1) cutAtSeams += 1;
        expect(pieces.flatMap(encodeWhole)).toEqual(encodeWhole(whole));
      }),
      { numRuns: 600 },
    );
    expect(cutAtSeams).toBeGreaterThan(100);
  });

  it('comes back as the same text, normalised', () => {
    fc.assert(
      fc.property(awkward, (text) => {
        const plain = text.replaceAll(/<\|[^|]*\|>/gu, '');
        const decoded = tokenizer.decode(tokenizer.encode(plain));
        expect(decoded).toBe(wellFormed(plain).normalize('NFC'));
      }),
      { numRuns: 400 },
    );
  });

  it('leaves special tokens out of text and keeps other added ones', () => {
    expect(tokenizer.decode(tokenizer.encode('a<|im_end|>b<think>c'))).toBe('ab<think>c');
  });

  it('is bounded: a run without a seam is cut, never inside a character or added token', () => {
    const text = `${'x'.repeat(99)}<|im_end|>${'😀'.repeat(100)}`;
    const pieces = [...segments(text, SPECIALS, 100)];
    expect(pieces.join('')).toBe(text);
    expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThanOrEqual(110);
    expect(pieces[0]).toBe(`${'x'.repeat(99)}<|im_end|>`);
    for (const piece of pieces) expect(piece).toBe(wellFormed(piece));
  });

  it('works through a long text in slices', () => {
    const slices = tokenizer.encodeInSlices('word '.repeat(20_000));
    let count = 0;
    while (slices.next().done !== true) count += 1;
    expect(count).toBeGreaterThanOrEqual(12);
  });

  it('refuses what cannot fit, before it has read it all', () => {
    const exceeds = expect.objectContaining({ code: 'context_length_exceeded' });
    expect(() => tokenizer.encode('a b c d', { tokensMax: 3 })).toThrow(exceeds);
    expect(() => tokenizer.encode('a b', { tokensMax: 3 })).not.toThrow();
    const slices = tokenizer.encodeInSlices('word '.repeat(100_000), { tokensMax: 20_000 });
    let count = 0;
    expect(() => {
      while (slices.next().done !== true) count += 1;
    }).toThrow(exceeds);
    expect(count).toBeLessThan(60);
    const huge = 'a'.repeat(10 * 1024 * 1024);
    expect(() => tokenizer.encodeInSlices(huge, { tokensMax: 2048 }).next()).toThrow(exceeds);
  });
});

describe('decoding a stream', () => {
  it('never splits a character, whatever the tokens', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(tokenizer.size + 5), { maxLength: 80 }), (tokens) => {
        const decoder = tokenizer.streamDecoder();
        const parts = tokens.map((token) => decoder.push(token));
        parts.push(decoder.flush());
        for (const part of parts) expect(part).toBe(wellFormed(part));
        expect(parts.join('')).toBe(tokenizer.decode(tokens));
      }),
    );
  });

  it('holds an emoji until its last byte', () => {
    const decoder = tokenizer.streamDecoder();
    const parts = [...new TextEncoder().encode('😀')].map((byte) => decoder.push(byte));
    expect(parts).toEqual(['', '', '', '😀']);
  });

  it('gives U+FFFD for a character that never ends', () => {
    const decoder = tokenizer.streamDecoder();
    expect(decoder.push(0xf0)).toBe('');
    expect(decoder.push(0x41)).toBe('\ufffdA');
    expect(decoder.push(0xe2)).toBe('');
    expect(decoder.flush()).toBe('\ufffd');
  });
});

describe('the tokenizer of the default model', () => {
  const real: Tokenizer = createTokenizer(readFileSync(padawan, 'utf8'));

  it('takes any text there and back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
        expect(real.decode(real.encode(text))).toBe(text.normalize('NFC'));
      }),
    );
  });

  it('takes digits one by one and knows the turns of a chat', () => {
    expect(real.encode('2468')).toHaveLength(4);
    expect([...real.encode('<|im_end|>')]).toEqual([real.idOf('<|im_end|>')]);
  });
});

describe('a broken tokenizer.json', () => {
  const refusal = (json: string, config?: string): string => {
    try {
      createTokenizer(json, config);
    } catch (error) {
      if (isSanctumError(error) && error.code === 'model_invalid') return error.message;
      throw error;
    }
    throw new Error('it was taken');
  };
  const broken = (change: (value: ReturnType<typeof byteTokenizerFile>) => object): string =>
    JSON.stringify(change(structuredClone(file)));

  it.each([
    ['{', 'not JSON'],
    ['[]', 'must hold a JSON object'],
    ['{}', 'added_tokens'],
    [broken((value) => ({ ...value, model: { ...value.model, type: 'Unigram' } })), 'model.type'],
    [broken((value) => ({ ...value, decoder: { type: 'Metaspace' } })), 'decoder'],
    [
      broken((value) => ({ ...value, model: { ...value.model, merges: ['a b c'] } })),
      'merge 0 is not',
    ],
    [
      broken((value) => ({ ...value, model: { ...value.model, merges: ['q z'] } })),
      'merge 0 makes "qz", not a token',
    ],
    [
      broken((value) => {
        delete value.model.vocab['A'];
        return value;
      }),
      'the byte 0x41 has no token',
    ],
    [
      broken((value) => {
        value.model.vocab['A'] = 66;
        return value;
      }),
      'share an id',
    ],
    [
      broken((value) => {
        value.model.vocab['A'] = 4_000_000_000;
        return value;
      }),
      'has the id 4000000000',
    ],
    [
      broken((value) => ({
        ...value,
        pre_tokenizer: { type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated' },
      })),
      'unusable',
    ],
    [
      broken((value) => ({
        ...value,
        pre_tokenizer: { type: 'Split', pattern: {}, behavior: 'Isolated' },
      })),
      'pre_tokenizer.pattern',
    ],
    [broken((value) => ({ ...value, pre_tokenizer: { type: 'Metaspace' } })), 'pre_tokenizer'],
    [
      broken((value) => ({
        ...value,
        pre_tokenizer: { type: 'Split', pattern: { Regex: '[a-z]+' }, behavior: 'Isolated' },
      })),
      'it turns',
    ],
    [
      broken((value) => ({
        ...value,
        added_tokens: [{ id: 5, content: '<x>', special: true }],
      })),
      'takes an id in use',
    ],
  ])('is refused: %.40s', (json, message) => {
    expect(refusal(json)).toContain(message);
  });

  it('names the configuration when that is broken', () => {
    expect(refusal(JSON.stringify(file), 'x')).toContain('tokenizer_config.json');
  });

  it('is refused or works, however it is damaged', () => {
    const json = JSON.stringify(file);
    fc.assert(
      fc.property(
        fc.nat(json.length - 1),
        fc.nat(40),
        fc.constantFrom('', '0', '"', 'null', '{', '-1', '\\'),
        (at, length, put) => {
          const damaged = json.slice(0, at) + put + json.slice(at + length);
          try {
            const usable = createTokenizer(damaged);
            usable.decode(usable.encode('The 12 quick <|im_end|> äöü 😀'));
          } catch (error) {
            expect(error).toMatchObject({ name: 'SanctumError', code: 'model_invalid' });
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
