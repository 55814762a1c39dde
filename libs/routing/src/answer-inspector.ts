import { outputBytes, scanAnswer, scanModel, scanUsage, type AnswerFacts } from './answer-scan.js';
import { RepetitionWatch } from './repetition.js';

export interface DetectorSettings {
  /** A shorter answer is never called a repetition. */
  readonly repetitionCharsMin: number;
  /** An answer cut off by the length limit before so many bytes, or tokens, is suspicious. */
  readonly tinyBytes: number;
  /** Think tags are no leak: they are taken out before a client sees them. */
  readonly expectsThinking?: boolean;
}

export const DEFAULT_DETECTORS: DetectorSettings = { repetitionCharsMin: 200, tinyBytes: 4 };

/** A unit that occurs fewer times is no repetition. */
export const REPETITION_TIMES_MIN = 8;
/** Of an unfinished line kept back; a longer one is not read, only its usage is looked for. */
export const LINE_CHARS_MAX = 65_536;
/** Of such a line kept to find its usage, which comes last. */
const TAIL_CHARS = 2_048;

/** How long a token of English text is in common vocabularies, rounded down. */
export const BYTES_PER_TOKEN = 4;

/** What an answer comes as: events with a delta each, or one body. */
export type AnswerForm = 'events' | 'body';

/** What is wrong with an answer that arrived whole. */
export type AnswerFinding =
  'empty_content' | 'pure_repetition' | 'think_tag_leak' | 'truncated_tiny';

/** A raw text that was continued, or the next turn of a conversation. */
export type AnswerKind = 'conversation' | 'continuation';

/**
 * `broken` is a strike against the target, `suspicious` is only counted. A raw text goes on as it was
 * begun: that it is over, or repeats itself, says nothing of who continued it.
 */
export function severityOf(finding: AnswerFinding, kind: AnswerKind): 'broken' | 'suspicious' {
  if (kind === 'continuation') return 'suspicious';
  switch (finding) {
    case 'empty_content':
    case 'pure_repetition':
      return 'broken';
    case 'think_tag_leak':
    case 'truncated_tiny':
      return 'suspicious';
  }
}

export interface AnswerReport {
  readonly finding: AnswerFinding | undefined;
  /** Undefined when the answer carried no usage. */
  readonly promptTokens: number | undefined;
  /**
   * From usage. Else, of events, those that carried something: one delta is about one token. Of a
   * body the bytes of its text, reasoning and tool calls by `BYTES_PER_TOKEN`, at least one for each
   * of them that is not empty; of what is too long to be read, all bytes.
   */
  readonly completionTokens: number;
  readonly isEstimate: boolean;
  /** As the beginning of the answer names it. */
  readonly model: string | undefined;
  /** The last one of chat completions, when it is one word. */
  readonly finishReason: string | undefined;
}

const FINISH_REASON = /^\w{1,32}$/;
const THINK_TAG = /<\/?think>/;
const THINK_TAG_CHARS = '</think>'.length;

/**
 * Reads an answer as it passes by: what it says of usage, and whether it is garbage. Takes an event
 * stream or a JSON body, one character per byte, split anywhere. Of the text nothing is kept but the
 * unfinished line and the last few characters. Several choices are read as one text.
 */
export class AnswerInspector {
  readonly #settings: DetectorSettings;
  readonly #form: AnswerForm;
  readonly #repetition: RepetitionWatch;
  #line = '';
  /** A line was too long: content is unknown, and only the end of it is kept. */
  #isOpaque = false;
  #textBytes = 0;
  /** Of a body without usage, and of what was too long to be read. */
  #outputBytes = 0;
  #isVisible = false;
  #deltas = 0;
  #others = 0;
  #recent = '';
  #leaksThinking = false;
  #model: string | undefined;
  #finishReason: string | undefined;
  #promptTokens: number | undefined;
  #completionTokens: number | undefined;

  constructor(settings: DetectorSettings, form: AnswerForm) {
    this.#settings = settings;
    this.#form = form;
    this.#repetition = new RepetitionWatch(settings.repetitionCharsMin);
  }

  push(piece: string): void {
    const end = piece.lastIndexOf('\n') + 1;
    if (end === 0) {
      this.#keep(piece);
      return;
    }
    this.#read(this.#line + piece.slice(0, end));
    this.#line = '';
    if (end < piece.length) this.#keep(piece.slice(end));
  }

  /** Once, when nothing more comes. `isWhole` is false for an answer that broke off. */
  report(isWhole: boolean): AnswerReport {
    if (this.#line !== '') this.#read(this.#line);
    this.#line = '';
    return {
      finding: isWhole ? this.#finding() : undefined,
      promptTokens: this.#promptTokens,
      completionTokens: this.#completionTokens ?? this.#estimate(),
      isEstimate: this.#completionTokens === undefined,
      model: this.#model,
      finishReason: FINISH_REASON.test(this.#finishReason ?? '') ? this.#finishReason : undefined,
    };
  }

  #keep(piece: string): void {
    this.#line += piece;
    if (this.#line.length <= LINE_CHARS_MAX) return;
    this.#isOpaque = true;
    this.#outputBytes += this.#line.length - TAIL_CHARS;
    this.#line = this.#line.slice(-TAIL_CHARS);
  }

  #read(lines: string): void {
    if (this.#isOpaque) {
      this.#outputBytes += lines.length;
      this.#usage(scanUsage(lines));
      return;
    }
    if (this.#deltas === 0) this.#model ??= scanModel(lines);
    const facts = scanAnswer(lines);
    this.#usage(facts);
    this.#finishReason = facts.finishReason ?? this.#finishReason;
    this.#others += facts.others;
    this.#deltas += facts.texts.length + facts.others;
    if (this.#form === 'body' && facts.completionTokens === undefined) {
      this.#outputBytes += outputBytes(lines);
    }
    for (const text of facts.texts) this.#text(text);
  }

  #text(text: string): void {
    this.#textBytes += text.length;
    this.#isVisible ||= /\S/.test(text);
    this.#repetition.push(text);
    if (this.#leaksThinking) return;
    const joined = this.#recent + text;
    this.#leaksThinking = THINK_TAG.test(joined);
    this.#recent = joined.slice(1 - THINK_TAG_CHARS);
  }

  #usage({
    promptTokens,
    completionTokens,
  }: Pick<AnswerFacts, 'promptTokens' | 'completionTokens'>): void {
    this.#promptTokens = promptTokens ?? this.#promptTokens;
    this.#completionTokens = completionTokens ?? this.#completionTokens;
  }

  #estimate(): number {
    if (this.#form === 'events') return this.#deltas;
    return Math.max(this.#deltas, Math.ceil(this.#outputBytes / BYTES_PER_TOKEN));
  }

  #finding(): AnswerFinding | undefined {
    if (this.#isOpaque) return undefined;
    if (this.#others === 0 && !this.#isVisible) return this.#findingOfNothing();
    if (this.#repetition.isRepetition(REPETITION_TIMES_MIN)) return 'pure_repetition';
    if (this.#leaksThinking && this.#settings.expectsThinking !== true) return 'think_tag_leak';
    const isTiny = this.#others === 0 && this.#textBytes < this.#settings.tinyBytes;
    return isTiny && this.#finishReason === 'length' ? 'truncated_tiny' : undefined;
  }

  /** What was allowed only a few tokens may well show nothing. */
  #findingOfNothing(): AnswerFinding {
    const tokens = this.#completionTokens ?? this.#deltas;
    const isTiny = this.#finishReason === 'length' && tokens <= this.#settings.tinyBytes;
    return isTiny ? 'truncated_tiny' : 'empty_content';
  }
}
