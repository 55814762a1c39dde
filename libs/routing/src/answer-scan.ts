/** Fields of a delta, a message or a choice whose strings are text for the reader. */
const TEXT_FIELDS = ['"content":', '"text":'] as const;
/** Fields whose strings are output of another kind. */
const OTHER_FIELDS = [
  '"reasoning_content":',
  '"reasoning":',
  '"refusal":',
  '"arguments":',
  '"name":',
] as const;
const PROMPT_TOKENS = ['"prompt_tokens":', '"input_tokens":'] as const;
const COMPLETION_TOKENS = ['"completion_tokens":', '"output_tokens":'] as const;
const MODEL = '"model":';
const MODEL_CHARS_MAX = 128;
const MODEL_NAME = /^"([\w.:@/+-]+)"/;
const FINISH_REASON = '"finish_reason":';

/** What the complete lines of an answer show. */
export interface AnswerFacts {
  readonly texts: readonly string[];
  /** Non-empty strings of reasoning, refusals and tool calls. */
  readonly others: number;
  readonly finishReason: string | undefined;
  readonly promptTokens: number | undefined;
  readonly completionTokens: number | undefined;
}

/**
 * Reads an answer without parsing it: a quote inside a JSON string is always escaped, so that
 * `"content":` can only be the name of a field. `text` is whole lines of an event stream or a whole
 * JSON body, one character per byte.
 */
export function scanAnswer(text: string): AnswerFacts {
  const texts: string[] = [];
  for (const field of TEXT_FIELDS) eachString(text, field, (raw) => texts.push(unescaped(raw)));
  let others = 0;
  if (texts.length === 0) {
    for (const field of OTHER_FIELDS) eachString(text, field, () => others++);
  }
  const hasUsage = text.includes('_tokens":');
  return {
    texts,
    others,
    finishReason: lastString(text, FINISH_REASON),
    promptTokens: hasUsage ? lastNumber(text, PROMPT_TOKENS) : undefined,
    completionTokens: hasUsage ? lastNumber(text, COMPLETION_TOKENS) : undefined,
  };
}

/** The last value of the usage fields, wherever they stand; for text that begins midway. */
export function scanUsage(text: string): Pick<AnswerFacts, 'promptTokens' | 'completionTokens'> {
  return {
    promptTokens: lastNumber(text, PROMPT_TOKENS),
    completionTokens: lastNumber(text, COMPLETION_TOKENS),
  };
}

/** Bytes of all that was generated, as JSON has them; of a body, where no usage says it in tokens. */
export function outputBytes(text: string): number {
  let bytes = 0;
  for (const field of [...TEXT_FIELDS, ...OTHER_FIELDS]) {
    eachString(text, field, (raw) => (bytes += raw.length));
  }
  return bytes;
}

/** Calls with the raw bytes of each non-empty string that is the value of `field`. */
function eachString(text: string, field: string, found: (raw: string) => void): void {
  let at = text.indexOf(field);
  while (at >= 0) {
    const start = skipSpace(text, at + field.length);
    const end = text[start] === '"' ? closingQuote(text, start + 1) : start;
    if (end > start + 1) found(text.slice(start + 1, end));
    at = text.indexOf(field, end);
  }
}

/** The model that the beginning of an answer names; undefined when it is none that could be one. */
export function scanModel(text: string): string | undefined {
  const at = text.indexOf(MODEL);
  if (at < 0) return undefined;
  const start = skipSpace(text, at + MODEL.length);
  return MODEL_NAME.exec(text.slice(start, start + MODEL_CHARS_MAX + 2))?.[1];
}

function lastString(text: string, field: string): string | undefined {
  let value: string | undefined;
  eachString(text, field, (raw) => (value = raw));
  return value;
}

function lastNumber(text: string, fields: readonly string[]): number | undefined {
  for (const field of fields) {
    const at = text.lastIndexOf(field);
    if (at < 0) continue;
    const start = skipSpace(text, at + field.length);
    const digits = /^\d{1,12}/.exec(text.slice(start, start + 12))?.[0];
    if (digits !== undefined) return Number(digits);
  }
  return undefined;
}

function skipSpace(text: string, start: number): number {
  let at = start;
  while (text[at] === ' ') at++;
  return at;
}

/** Index of the quote that ends a string whose first character is at `start`, or the end of text. */
function closingQuote(text: string, start: number): number {
  let quote = text.indexOf('"', start);
  while (quote >= 0) {
    let backslashes = 0;
    while (text[quote - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return quote;
    quote = text.indexOf('"', quote + 1);
  }
  return text.length;
}

function unescaped(raw: string): string {
  if (!raw.includes('\\')) return raw;
  try {
    return String(JSON.parse(`"${raw}"`));
  } catch {
    return raw;
  }
}
