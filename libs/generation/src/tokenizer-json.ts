import { messageOf, SanctumError } from '@sanctum/errors';
import { z } from 'zod';
import { BYTE_OF_SYMBOL } from './byte-symbols.js';

/** Highest number of tokens a tokenizer may define. */
export const TOKENIZER_VOCAB_MAX = 1 << 20;

const id = z
  .number()
  .int()
  .min(0)
  .max(TOKENIZER_VOCAB_MAX - 1);

const byteLevel = z.looseObject({ type: z.literal('ByteLevel') });

/**
 * The pre-tokenizers of byte-level models. Upstream takes others too, but does not honour every
 * setting of theirs, and drops all text where a pattern is missing.
 */
const split = z.looseObject({
  type: z.literal('Split'),
  pattern: z.union([
    z.object({ Regex: z.string().min(1) }),
    z.object({ String: z.string().min(1) }),
  ]),
  behavior: z.literal('Isolated'),
  invert: z.literal(false).optional(),
});
const preTokenizer = z.discriminatedUnion('type', [
  split,
  byteLevel,
  z.looseObject({
    type: z.literal('Sequence'),
    pretokenizers: z
      .array(z.discriminatedUnion('type', [split, byteLevel]))
      .min(1)
      .max(8),
  }),
]);

/** What a byte-level BPE `tokenizer.json` has to say; vocabulary and merges are checked by hand. */
const FILE = z.looseObject({
  added_tokens: z.array(
    z.looseObject({
      id,
      // A seam between segments must not fall into an added token: see segments.ts.
      content: z
        .string()
        .min(1)
        .max(1024)
        .regex(/^(?!.*\S )/su, 'may not hold a space after text'),
      special: z.boolean().optional(),
      lstrip: z.literal(false).nullish(),
      rstrip: z.literal(false).nullish(),
      single_word: z.literal(false).nullish(),
    }),
  ),
  normalizer: z.looseObject({ type: z.literal('NFC') }).nullable(),
  pre_tokenizer: preTokenizer,
  post_processor: z.looseObject({ type: z.string() }).nullable(),
  decoder: byteLevel.or(
    z.looseObject({ type: z.literal('Sequence'), decoders: z.tuple([byteLevel]) }),
  ),
  model: z.looseObject({
    type: z.literal('BPE', { error: 'only byte-level BPE tokenizers are supported' }),
    vocab: z.custom<Record<string, unknown>>(isPlainObject, 'expected an object of token ids'),
    merges: z.array(z.unknown()).max(TOKENIZER_VOCAB_MAX),
    byte_fallback: z.literal(false).nullish(),
    end_of_word_suffix: z.literal('').nullish(),
    continuing_subword_suffix: z.literal('').nullish(),
  }),
});

export type TokenizerFile = z.infer<typeof FILE>;

/** Reads `tokenizer.json`; throws `model_invalid` with the place at fault. */
export function parseTokenizerJson(json: string): TokenizerFile {
  const file = FILE.safeParse(parseJson(json, 'tokenizer.json'));
  if (!file.success) {
    const issue = file.error.issues[0];
    const path = issue === undefined ? '' : issue.path.join('.');
    throw invalid(`at ${path || 'the top'}: ${issue?.message ?? 'malformed'}`);
  }
  assertVocabulary(file.data);
  assertMerges(file.data);
  return file.data;
}

/** The JSON object in a model's file; throws `model_invalid` naming the file. */
export function parseJson(json: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new SanctumError('model_invalid', `${file} is not JSON: ${messageOf(cause)}`, {
      cause,
      param: file,
    });
  }
  if (!isPlainObject(value)) {
    throw new SanctumError('model_invalid', `${file} must hold a JSON object.`, { param: file });
  }
  return value;
}

function assertVocabulary(file: TokenizerFile): void {
  const taken = new Map<number, string>();
  for (const [token, value] of Object.entries(file.model.vocab)) {
    if (!id.safeParse(value).success) {
      throw invalid(`token ${JSON.stringify(token)} has the id ${JSON.stringify(value)}`);
    }
    const other = taken.get(Number(value));
    if (other !== undefined) {
      throw invalid(`tokens ${JSON.stringify(other)} and ${JSON.stringify(token)} share an id`);
    }
    taken.set(Number(value), token);
  }
  for (const added of file.added_tokens) {
    const other = taken.get(added.id);
    if (other !== undefined && other !== added.content) {
      throw invalid(`the added token ${JSON.stringify(added.content)} takes an id in use`);
    }
    taken.set(added.id, added.content);
  }
  // Upstream drops what has no token, so a missing byte would silently lose text.
  for (const [symbol, byte] of BYTE_OF_SYMBOL) {
    if (!Object.hasOwn(file.model.vocab, symbol)) {
      throw invalid(`the byte 0x${byte.toString(16).padStart(2, '0')} has no token`);
    }
  }
}

function assertMerges(file: TokenizerFile): void {
  const pairs = Array.isArray(file.model.merges[0]);
  for (const [rank, merge] of file.model.merges.entries()) {
    const parts = pairs ? merge : typeof merge === 'string' ? merge.split(' ') : undefined;
    if (!isPair(parts)) {
      throw invalid(`merge ${rank} is not ${pairs ? 'a pair' : 'two tokens and a space'}`);
    }
    if (!Object.hasOwn(file.model.vocab, parts[0] + parts[1])) {
      throw invalid(`merge ${rank} makes ${JSON.stringify(parts[0] + parts[1])}, not a token`);
    }
  }
}

function isPair(value: unknown): value is [string, string] {
  return (
    Array.isArray(value) &&
    value.length === 2 &&
    value.every((part) => typeof part === 'string' && part !== '')
  );
}

/** A special token's text, which configurations hold plainly or as an object's `content`. */
export function tokenText(value: unknown): string | undefined {
  const content = isPlainObject(value) ? value['content'] : value;
  return typeof content === 'string' ? content : undefined;
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(what: string): SanctumError {
  return new SanctumError(
    'model_invalid',
    `tokenizer.json is unusable: ${what}. Convert or download the model again.`,
    { param: 'tokenizer.json' },
  );
}
