import { Template } from '@huggingface/jinja';
import { contentText, type ChatMessage } from '@sanctum/contracts';
import { messageOf, SanctumError } from '@sanctum/errors';
import { isPlainObject, parseJson, tokenText } from './tokenizer-json.js';

export interface ChatTemplateOptions {
  /** False closes the reasoning before it starts: the empty think block of Qwen3.5. */
  readonly enableThinking: boolean;
}

/**
 * Messages as the model's prompt, up to where its answer begins: pieces of text to be tokenised one
 * by one. There is more than one piece only where a message spells out a special token: the cut
 * goes through that token, so that nobody ends a turn, or begins another, by writing about it.
 */
export type ChatTemplate = (
  messages: readonly ChatMessage[],
  options?: ChatTemplateOptions,
) => readonly string[];

export interface ChatTemplateSource {
  /** Text of `chat_template.jinja`; left out, `chat_template` of `tokenizer_config.json`. */
  readonly template?: string | undefined;
  /** Text of `tokenizer_config.json`. */
  readonly config?: string | undefined;
  /** What messages may only quote: the tokenizer's `specialTokens`. */
  readonly specialTokens?: readonly string[];
}

/**
 * A model's chat template. Throws `model_invalid` when there is none, or it does not parse.
 * Rendering throws `invalid_request` with what the template objects to, such as a system message
 * that is not the first.
 */
export function createChatTemplate(source: ChatTemplateSource): ChatTemplate {
  const settings = parseJson(source.config ?? '{}', 'tokenizer_config.json');
  const template = compile(source.template ?? templateOf(settings['chat_template']));
  const specialTokens = source.specialTokens ?? [];
  const specials = {
    bos_token: tokenText(settings['bos_token']) ?? '',
    eos_token: tokenText(settings['eos_token']) ?? '',
    pad_token: tokenText(settings['pad_token']) ?? '',
  };
  return (messages, options = { enableThinking: false }) => {
    const plain = messages.map(forTemplate);
    const cut = cutMark(plain);
    try {
      const prompt = template.render({
        ...specials,
        messages: plain.map((message) => quoteSpecials(message, specialTokens, cut)),
        tools: null,
        add_generation_prompt: true,
        enable_thinking: options.enableThinking,
      });
      return prompt.split(cut);
    } catch (cause) {
      throw new SanctumError(
        'invalid_request',
        `The chat template of the model refuses these messages: ${messageOf(cause)}`,
        { cause, param: 'messages' },
      );
    }
  };
}

type TemplateMessage = Readonly<Record<'role' | 'content' | 'name', string | undefined>>;

const PRIVATE_USE = { first: 0xe000, last: 0xf8ff };
const PRIVATE_USE_CHARACTERS = /[\ue000-\uf8ff]/g;

/** A character that no message holds, to mark cuts through the template. */
function cutMark(messages: readonly TemplateMessage[]): string {
  const texts = messages.flatMap(({ content, name }) => [content ?? '', name ?? '']);
  // One pass, however many of them a message holds.
  const taken = new Set(texts.flatMap((text) => text.match(PRIVATE_USE_CHARACTERS) ?? []));
  for (let code = PRIVATE_USE.first; code <= PRIVATE_USE.last; code += 1) {
    const mark = String.fromCharCode(code);
    if (!taken.has(mark)) return mark;
  }
  throw new SanctumError('invalid_request', 'The messages hold every private-use character.', {
    param: 'messages',
  });
}

function quoteSpecials(
  message: TemplateMessage,
  specialTokens: readonly string[],
  cut: string,
): Record<string, unknown> {
  const quoted: Record<string, unknown> = { role: message.role };
  for (const key of ['content', 'name'] as const) {
    let text = message[key];
    for (const token of specialTokens) {
      text = text?.replaceAll(token, token.slice(0, 1) + cut + token.slice(1));
    }
    if (text !== undefined) quoted[key] = text;
  }
  return quoted;
}

/** Plain texts; `developer` is OpenAI's later name of `system`, templates know the earlier one. */
function forTemplate({ role, content, name }: ChatMessage): TemplateMessage {
  return {
    role: role === 'developer' ? 'system' : role,
    content: contentText(content),
    name,
  };
}

function compile(source: string): Template {
  try {
    return new Template(source);
  } catch (cause) {
    throw new SanctumError(
      'model_invalid',
      `The chat template of the model does not parse: ${messageOf(cause)}`,
      { cause, param: 'chat_template' },
    );
  }
}

/** One template, or the one named `default` among several. */
function templateOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) {
    const named = value.find(
      (entry) => isPlainObject(entry) && entry['name'] === 'default',
    ) as unknown;
    if (isPlainObject(named) && typeof named['template'] === 'string') return named['template'];
  }
  throw new SanctumError(
    'model_invalid',
    'The model has no chat template: neither chat_template.jinja nor chat_template in ' +
      'tokenizer_config.json.',
    { param: 'chat_template' },
  );
}

/** Special tokens are written as text, or as an object that holds it. */
