import { messageOf, SanctumError } from '@sanctum/errors';
import { BYTE_OF_SYMBOL } from './byte-symbols.js';
import { segments } from './segments.js';
import { StreamDecoder } from './stream-decoder.js';
import { parseJson, parseTokenizerJson, type TokenizerFile } from './tokenizer-json.js';
import { UpstreamTokenizer } from './upstream-tokenizer.js';

export interface EncodeOptions {
  /** More tokens than this are refused with `context_length_exceeded`. */
  readonly tokensMax?: number;
  /** The request field that such an error names; `prompt` unless said. */
  readonly param?: string;
}

/** A model's byte-level BPE tokenizer. */
export interface Tokenizer {
  /** One above the highest token id. */
  readonly size: number;
  /** Contents of the special tokens, which steer the model and are no text. */
  readonly specialTokens: readonly string[];
  /** Tokens of a text; special tokens written in it become themselves. Nothing is added. */
  encode(text: string, options?: EncodeOptions): Int32Array;
  /**
   * `encode` in slices of bounded work: one slice per `next()`, the tokens as return value. Pieces
   * are encoded one by one: no token reaches from one into the next.
   */
  encodeInSlices(
    pieces: string | readonly string[],
    options?: EncodeOptions,
  ): Generator<void, Int32Array>;
  /** The whole text of tokens; special tokens are left out. */
  decode(tokens: Iterable<number>): string;
  streamDecoder(): StreamDecoder;
  /** A token's bytes; none for special tokens and for ids that name no token. */
  bytesOf(token: number): Uint8Array;
  /** Id of a token by its content, added tokens included. */
  idOf(content: string): number | undefined;
  /** A token as `tokenizer.json` spells it: special ones by their content, others in symbols. */
  contentOf(token: number): string | undefined;
}

/**
 * Reads a model's tokenizer from the texts of `tokenizer.json` and `tokenizer_config.json`.
 * Throws `model_invalid` for files that are broken, or not a byte-level BPE.
 */
export function createTokenizer(json: string, config = '{}'): Tokenizer {
  const file = parseTokenizerJson(json);
  const settings = parseJson(config, 'tokenizer_config.json');
  try {
    const tokenizer = new ByteLevelTokenizer(file, new UpstreamTokenizer(file, settings));
    assertFaithful(tokenizer);
    return tokenizer;
  } catch (cause) {
    throw new SanctumError(
      'model_invalid',
      `tokenizer.json is unusable: ${messageOf(cause)}. Convert or download the model again.`,
      { cause, param: 'tokenizer.json' },
    );
  }
}

const PROBE = 'The quick 12 brown\n\tfoxes, über 漢字 😀!';

/** Text must survive encoding, or prompts would reach the model with holes. */
function assertFaithful(tokenizer: Tokenizer): void {
  const decoded = tokenizer.decode(tokenizer.encode(PROBE));
  if (decoded !== PROBE)
    throw new Error(`it turns ${JSON.stringify(PROBE)} into ${JSON.stringify(decoded)}`);
}

class ByteLevelTokenizer implements Tokenizer {
  readonly size: number;
  readonly specialTokens: readonly string[];
  readonly #encoder: UpstreamTokenizer;
  /** Bytes of added tokens, which are written plainly; empty for special ones. */
  readonly #added = new Map<number, Uint8Array>();
  readonly #addedContents: string[] = [];
  readonly #longestTokenBytes: number;

  constructor(file: TokenizerFile, encoder: UpstreamTokenizer) {
    this.#encoder = encoder;
    let size = 0;
    let longest = 1;
    for (const [token, id] of Object.entries(file.model.vocab)) {
      size = Math.max(size, Number(id) + 1);
      longest = Math.max(longest, token.length);
    }
    const utf8 = new TextEncoder();
    for (const { id, content, special } of file.added_tokens) {
      const bytes = utf8.encode(content);
      this.#added.set(id, special === true ? new Uint8Array() : bytes);
      this.#addedContents.push(content);
      size = Math.max(size, id + 1);
      longest = Math.max(longest, bytes.length);
    }
    this.size = size;
    this.specialTokens = file.added_tokens
      .filter(({ special }) => special === true)
      .map(({ content }) => content);
    this.#longestTokenBytes = longest;
  }

  encode(text: string, options: EncodeOptions = {}): Int32Array {
    const slices = this.encodeInSlices(text, options);
    for (;;) {
      const slice = slices.next();
      if (slice.done === true) return slice.value;
    }
  }

  *encodeInSlices(
    pieces: string | readonly string[],
    options: EncodeOptions = {},
  ): Generator<void, Int32Array> {
    const tokensMax = options.tokensMax ?? Number.POSITIVE_INFINITY;
    const ids: number[] = [];
    for (const piece of typeof pieces === 'string' ? [pieces] : pieces) {
      // A UTF-16 unit takes at least one byte, and normalisation to NFC shortens at most threefold.
      if (piece.length / 3 > tokensMax * this.#longestTokenBytes)
        throw tooLong(tokensMax, options.param);
      for (const segment of segments(piece, this.#addedContents)) {
        for (const id of this.#encoder.encode(segment, { add_special_tokens: false }).ids) {
          ids.push(id);
        }
        if (ids.length > tokensMax) throw tooLong(tokensMax, options.param);
        yield;
      }
    }
    return Int32Array.from(ids);
  }

  decode(tokens: Iterable<number>): string {
    const decoder = this.streamDecoder();
    let text = '';
    for (const token of tokens) text += decoder.push(token);
    return text + decoder.flush();
  }

  streamDecoder(): StreamDecoder {
    return new StreamDecoder((token) => this.bytesOf(token));
  }

  bytesOf(token: number): Uint8Array {
    const added = this.#added.get(token);
    if (added !== undefined) return added;
    const symbols = this.#encoder.id_to_token(token) ?? '';
    return Uint8Array.from(symbols, (symbol) => BYTE_OF_SYMBOL.get(symbol) ?? 0x3f);
  }

  idOf(content: string): number | undefined {
    return this.#encoder.token_to_id(content);
  }

  contentOf(token: number): string | undefined {
    return this.#encoder.id_to_token(token);
  }
}

function tooLong(tokensMax: number, param = 'prompt'): SanctumError {
  return new SanctumError(
    'context_length_exceeded',
    `The prompt has more than ${tokensMax} tokens, which is all the context has room for. ` +
      'Shorten it.',
    { param },
  );
}
