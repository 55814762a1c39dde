import { BYTE_OF_SYMBOL } from '../byte-symbols.js';

/** Qwen's pre-tokenizer: contractions, letters, single digits, punctuation, white space. */
export const QWEN_PATTERN =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const MERGES = [
  'Ġ t',
  'h e',
  'Ġt he',
  'e r',
  'Ġ a',
  'i n',
  'Ġ Ġ',
  'ĠĠ ĠĠ',
  '1 2',
  'Ã ¤',
  'Ċ Ċ',
  '! Ċ',
];

export const SPECIALS = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'] as const;

/** The parts of a small byte-level `tokenizer.json`: 256 bytes, a few merges, Qwen's specials. */
export function byteTokenizerFile(): {
  added_tokens: { id: number; content: string; special: boolean }[];
  normalizer: object;
  pre_tokenizer: object;
  post_processor: null;
  decoder: object;
  model: { type: string; vocab: Record<string, number>; merges: string[] };
} {
  const vocab: Record<string, number> = {};
  for (const [symbol, byte] of BYTE_OF_SYMBOL) vocab[symbol] = byte;
  for (const merge of MERGES) vocab[merge.replace(' ', '')] = Object.keys(vocab).length;
  const first = Object.keys(vocab).length;
  const contents = [...SPECIALS, '<think>', '</think>'];
  return {
    added_tokens: contents.map((content, at) => ({
      id: first + at,
      content,
      special: content.startsWith('<|'),
    })),
    normalizer: { type: 'NFC' },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: QWEN_PATTERN }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab, merges: [...MERGES] },
  };
}
