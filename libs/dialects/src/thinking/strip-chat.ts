import { ThoughtStripper } from './thought-stripper.js';

type Fields = Record<string, unknown>;

/** Where servers put thoughts that they have told apart from the text themselves. */
const REASONING_FIELDS: ReadonlySet<string> = new Set([
  'reasoning_content',
  'reasoning',
  'reasoning_details',
]);

/**
 * A whole completion, of chat or of text, without its thoughts; the same object when there are none.
 * Usage stays as it is: thoughts were paid for. Log probabilities of a choice whose text changed go.
 */
export function stripCompletion(completion: unknown): unknown {
  if (!isFields(completion) || !Array.isArray(completion['choices'])) return completion;
  const said = completion['choices'].map((choice: unknown) =>
    stripChoice(choice, { key: 'message', stripper: new ThoughtStripper(), ends: true }),
  );
  if (!said.some(({ isChanged }) => isChanged)) return completion;
  return { ...completion, choices: said.map(({ choice }) => choice) };
}

/** What becomes of one event of a stream. */
export type StrippedEvent =
  /** `ending` is sent on as it is too, behind what is still owed. */
  | { readonly kind: 'same' | 'nothing' | 'ending' }
  | { readonly kind: 'data'; readonly data: string };

const SAME: StrippedEvent = { kind: 'same' };
const NOTHING: StrippedEvent = { kind: 'nothing' };
const ENDING: StrippedEvent = { kind: 'ending' };
const DONE = '[DONE]';

/** Takes the thoughts out of the events of one stream of completions, of chat or of text. */
export class CompletionStreamStripper {
  readonly #strippers = new Map<unknown, ThoughtStripper>();
  /** Choices whose role the client has been told. */
  readonly #roles = new Set<unknown>();
  #head: Fields = {};

  /** Nothing is kept back and no thought is open: events without a `<` or reasoning stay the same. */
  get isIdle(): boolean {
    for (const stripper of this.#strippers.values()) if (!stripper.isIdle) return false;
    return true;
  }

  /** Takes the data of one event; what is no JSON, or has no choices, stays the same. */
  push(data: string): StrippedEvent {
    if (data === DONE) return ENDING;
    const chunk = parse(data);
    if (!isFields(chunk)) return SAME;
    if (!Array.isArray(chunk['choices'])) return 'error' in chunk ? ENDING : SAME;
    this.#head = chunk;
    const said = chunk['choices'].map((choice: unknown) => this.#strip(choice));
    if (!said.some(({ isChanged }) => isChanged)) return SAME;
    const choices = said.map(({ choice }) => choice);
    const isNeeded = choices.filter((choice) => this.#isNeeded(choice)).length > 0;
    if (!isNeeded && !isSomething(chunk['usage'])) return NOTHING;
    return { kind: 'data', data: JSON.stringify({ ...chunk, choices }) };
  }

  /** Data of the events still owed: before `ending`, and when nothing more comes. */
  end(): string[] {
    const owed: string[] = [];
    for (const [index, stripper] of this.#strippers) {
      const text = stripper.end();
      if (text === '') continue;
      const isText = this.#head['object'] === 'text_completion';
      const said = isText ? { text } : { delta: { content: text } };
      const choices = [{ index, ...said, finish_reason: null }];
      const { id, object, created, model } = this.#head;
      owed.push(JSON.stringify({ id, object, created, model, choices }));
    }
    return owed;
  }

  #strip(choice: unknown): Stripped {
    if (!isFields(choice)) return { choice, isChanged: false };
    const index = choice['index'] ?? 0;
    const stripper = this.#strippers.get(index) ?? new ThoughtStripper();
    this.#strippers.set(index, stripper);
    const ends = typeof choice['finish_reason'] === 'string' && choice['finish_reason'] !== '';
    return stripChoice(choice, { key: 'delta', stripper, ends });
  }

  /** Whether a client would miss this choice of an event that was changed. */
  #isNeeded(choice: unknown): boolean {
    if (!isFields(choice)) return true;
    const { index = 0, delta, text, finish_reason: finish, ...others } = choice;
    if (isSomething(finish) || isSomething(text)) return true;
    const { role, content, ...rest } = isFields(delta) ? delta : {};
    const isNews = role !== undefined && !this.#roles.has(index);
    if (role !== undefined) this.#roles.add(index);
    return isNews || [content, ...Object.values(rest), ...Object.values(others)].some(isSomething);
  }
}

interface Stripped {
  readonly choice: unknown;
  readonly isChanged: boolean;
}

interface Manner {
  readonly key: 'message' | 'delta';
  readonly stripper: ThoughtStripper;
  /** Nothing follows: what was kept back is text. */
  readonly ends: boolean;
}

function stripChoice(choice: unknown, { key, stripper, ends }: Manner): Stripped {
  if (!isFields(choice)) return { choice, isChanged: false };
  const strip = (text: string): string => stripper.push(text) + (ends ? stripper.end() : '');
  const changed: Fields = {};
  const text = stripText(choice['text'], strip);
  if (text !== choice['text']) changed['text'] = text;
  const said = choice[key];
  if (isFields(said)) {
    const next = stripSaid(said, strip);
    if (next !== said) changed[key] = next;
  }
  const rest = ends ? stripper.end() : '';
  if (rest !== '') changed[key] = { ...((changed[key] ?? said) as Fields), content: rest };
  const isChanged = Object.keys(changed).length > 0;
  if (!isChanged) return { choice, isChanged };
  if ('logprobs' in choice) changed['logprobs'] = null;
  return { choice: { ...choice, ...changed }, isChanged };
}

type Strip = (text: string) => string;

function stripSaid(said: Fields, strip: Strip): Fields {
  const content = stripText(said['content'], strip);
  const hasThoughts = [...REASONING_FIELDS].some((field) => field in said);
  if (content === said['content'] && !hasThoughts) return said;
  const kept = Object.entries(said).filter(([field]) => !REASONING_FIELDS.has(field));
  return { ...Object.fromEntries(kept), ...(content === undefined ? {} : { content }) };
}

/** A text, or the texts among the parts of one; the same value when nothing changed. */
function stripText(value: unknown, strip: Strip): unknown {
  if (typeof value === 'string') return strip(value);
  if (!Array.isArray(value)) return value;
  const parts = value.map((part: unknown) => {
    if (!isFields(part) || typeof part['text'] !== 'string') return part;
    const text = strip(part['text']);
    return text === part['text'] ? part : { ...part, text };
  });
  return parts.some((part, at) => part !== value[at]) ? parts : value;
}

function isSomething(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data) as unknown;
  } catch {
    return undefined;
  }
}
