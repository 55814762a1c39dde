import { Template } from '@huggingface/jinja';
import { contentText, type ChatMessage } from '@sanctum/contracts';
import { messageOf, SanctumError } from '@sanctum/errors';
import { isPlainObject, parseJson } from './tokenizer-json.js';

export interface ChatTemplateOptions {
  /** False closes the reasoning before it starts: the empty think block of Qwen3.5. */
  readonly enableThinking: boolean;
}

/** Messages as the model's prompt, up to where its answer begins. */
export type ChatTemplate = (
  messages: readonly ChatMessage[],
  options?: ChatTemplateOptions,
) => string;

/**
 * A model's chat template: `source` is the text of `chat_template.jinja`, or undefined to take
 * `chat_template` of `tokenizer_config.json`, whose text is `config`. Throws `model_invalid` when
 * there is none, or it does not parse. Rendering throws `invalid_request` with what the template
 * objects to, such as a system message that is not the first.
 */
export function createChatTemplate(source: string | undefined, config = '{}'): ChatTemplate {
  const settings = parseJson(config, 'tokenizer_config.json');
  const template = compile(source ?? templateOf(settings['chat_template']));
  const specials = {
    bos_token: tokenText(settings['bos_token']),
    eos_token: tokenText(settings['eos_token']),
    pad_token: tokenText(settings['pad_token']),
  };
  return (messages, options = { enableThinking: false }) => {
    try {
      return template.render({
        ...specials,
        messages: messages.map(forTemplate),
        tools: null,
        add_generation_prompt: true,
        enable_thinking: options.enableThinking,
      });
    } catch (cause) {
      throw new SanctumError(
        'invalid_request',
        `The chat template of the model refuses these messages: ${messageOf(cause)}`,
        { cause, param: 'messages' },
      );
    }
  };
}

/** Plain texts; `developer` is OpenAI's later name of `system`, templates know the earlier one. */
function forTemplate({ role, content, name }: ChatMessage): Record<string, unknown> {
  return {
    role: role === 'developer' ? 'system' : role,
    content: contentText(content),
    ...(name === undefined ? {} : { name }),
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
function tokenText(value: unknown): string {
  const content = isPlainObject(value) ? value['content'] : value;
  return typeof content === 'string' ? content : '';
}
