import type { SampledToken, TokenLogprob } from './causal-model.js';
import type { TokenReport, TokenText } from './request.js';
import { ReasoningSplit } from './reasoning-split.js';
import { StopBuffer } from './stop-buffer.js';
import type { StreamDecoder } from './stream-decoder.js';
import type { Tokenizer } from './tokenizer.js';

/** What became certain of an answer: text, and the tokens that begin in it. */
export interface AnswerPart {
  readonly text: string;
  /** What the model thought; apart from `text`, and before it. */
  readonly reasoning: string;
  readonly tokens: readonly number[];
  readonly reports: readonly TokenReport[];
  readonly stopped: boolean;
}

interface HeldToken {
  /** Characters of the answer up to and with this token. */
  readonly end: number;
  readonly sampled: SampledToken;
}

/** One answer on its way from tokens to text: whole characters, cut before a stop sequence. */
export interface AnswerTextOptions {
  readonly tokenizer: Tokenizer;
  readonly stop: readonly string[];
  readonly withReports: boolean;
  /** The answer begins inside the model's thoughts. */
  readonly opensReasoning?: boolean;
}

export class AnswerText {
  readonly #tokenizer: Tokenizer;
  readonly #decoder: StreamDecoder;
  readonly #stop: StopBuffer;
  readonly #withReports: boolean;
  readonly #split: ReasoningSplit | undefined;
  #held: HeldToken[] = [];
  #decodedChars = 0;
  #certainChars = 0;
  #releasedChars = 0;

  constructor(options: AnswerTextOptions) {
    this.#tokenizer = options.tokenizer;
    this.#decoder = options.tokenizer.streamDecoder();
    this.#stop = new StopBuffer(options.stop);
    this.#withReports = options.withReports;
    this.#split = options.opensReasoning === true ? new ReasoningSplit() : undefined;
  }

  push(sampled: SampledToken): AnswerPart {
    const decoded = this.#decoder.push(sampled.token);
    this.#decodedChars += decoded.length;
    this.#held.push({ end: this.#decodedChars, sampled });
    const certain = this.#stop.push(decoded);
    return this.#release(certain, certain.stopped);
  }

  /** The rest of an answer that no stop sequence ended; the last bytes may still complete one. */
  flush(): AnswerPart {
    const decoded = this.#decoder.flush();
    this.#decodedChars += decoded.length;
    const { text, stopped } = this.#stop.push(decoded);
    const last = this.#held.at(-1);
    if (last !== undefined) this.#held.splice(-1, 1, { ...last, end: this.#decodedChars });
    return this.#release({ text: stopped ? text : text + this.#stop.flush(), stopped }, true);
  }

  #release(certain: { text: string; stopped: boolean }, isEnd: boolean): AnswerPart {
    this.#certainChars += certain.text.length;
    const out: SampledToken[] = [];
    for (const { end, sampled } of this.#held) {
      const isCut = certain.stopped && this.#releasedChars < this.#certainChars;
      if (end > this.#certainChars && !isCut) break;
      out.push(sampled);
      this.#releasedChars = end;
    }
    this.#held = certain.stopped ? [] : this.#held.slice(out.length);
    return {
      ...this.#parted(certain.text, isEnd),
      tokens: out.map(({ token }) => token),
      reports: this.#withReports ? out.map((sampled) => this.#report(sampled)) : [],
      stopped: certain.stopped,
    };
  }

  #parted(text: string, isEnd: boolean): Pick<AnswerPart, 'text' | 'reasoning'> {
    if (this.#split === undefined) return { text, reasoning: '' };
    const { reasoning, content } = this.#split.push(text);
    const held = isEnd ? this.#split.flush() : '';
    return { text: content, reasoning: reasoning + held };
  }

  #report(sampled: SampledToken): TokenReport {
    return {
      ...this.#tokenText(sampled),
      top: (sampled.top ?? []).map((entry) => this.#tokenText(entry)),
    };
  }

  #tokenText({ token, logprob }: TokenLogprob): TokenText {
    const bytes = [...this.#tokenizer.bytesOf(token)];
    const special = bytes.length === 0 ? this.#tokenizer.contentOf(token) : undefined;
    return { token, text: special ?? this.#tokenizer.decode([token]), bytes, logprob };
  }
}
