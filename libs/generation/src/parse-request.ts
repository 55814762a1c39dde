import { SanctumError } from '@sanctum/errors';
import { found, isRecord } from './found.js';
import { parseMessages } from './messages.js';
import { parseSampling, type ParsedSampling } from './parse-sampling.js';
import type { ChatMessage } from './request.js';

export interface ChatRequest extends ParsedSampling {
  readonly messages: readonly ChatMessage[];
  readonly enableThinking: boolean;
}

export interface CompletionRequest extends ParsedSampling {
  readonly prompt: string | readonly number[];
}

type Verdict = (value: unknown) => boolean;

const isNone: Verdict = (value) => value === null || value === undefined;
const isNoneOr =
  (...allowed: readonly unknown[]): Verdict =>
  (value) =>
    isNone(value) || allowed.includes(value);
const isEmptyList: Verdict = (value) =>
  isNone(value) || (Array.isArray(value) && value.length === 0);
const isAnything: Verdict = () => true;

/** Read by parseSampling, or of no effect on the answer. */
const ACCEPTED = [
  'model',
  'temperature',
  'top_p',
  'min_p',
  'top_k',
  'repetition_penalty',
  'presence_penalty',
  'frequency_penalty',
  'logit_bias',
  'seed',
  'max_tokens',
  'max_completion_tokens',
  'stop',
  'n',
  'ignore_eos',
  'stream',
  'stream_options',
  'logprobs',
  'user',
  'metadata',
  'safety_identifier',
  'prompt_cache_key',
  'parallel_tool_calls',
];

/** Fields whose only accepted values ask for nothing special. */
const RESTRICTED: Readonly<Record<string, Verdict>> = {
  store: isNoneOr(false),
  service_tier: isNoneOr('auto', 'default'),
  best_of: isNoneOr(1),
};

const CHAT_FIELDS = fieldTable(
  ['messages', 'top_logprobs', 'enable_thinking', 'chat_template_kwargs'],
  {
    tools: isEmptyList,
    functions: isEmptyList,
    tool_choice: isNoneOr('none'),
    function_call: isNoneOr('none'),
    response_format: (value) => isNone(value) || (isRecord(value) && value['type'] === 'text'),
    modalities: (value) => isNone(value) || (Array.isArray(value) && value.join() === 'text'),
    reasoning_effort: isNoneOr('none'),
  },
);

const COMPLETION_FIELDS = fieldTable(['prompt'], {
  echo: isNoneOr(false),
  suffix: isNoneOr(''),
});

/**
 * A chat request in OpenAI's form. A field or value that is not supported is refused by name with
 * `unsupported`, never ignored; a malformed one with `invalid_request`.
 */
export function parseChatRequest(body: unknown): ChatRequest {
  const fields = assertFields(body, CHAT_FIELDS);
  const sampling = parseSampling(fields, 'chat');
  return {
    ...sampling,
    messages: parseMessages(fields['messages']),
    enableThinking: enableThinkingOf(fields),
  };
}

/** A completion request in OpenAI's form: one prompt, as text or as token ids. */
export function parseCompletionRequest(body: unknown): CompletionRequest {
  const fields = assertFields(body, COMPLETION_FIELDS);
  return { ...parseSampling(fields, 'completion'), prompt: promptOf(fields['prompt']) };
}

function fieldTable(
  accepted: readonly string[],
  restricted: Readonly<Record<string, Verdict>>,
): ReadonlyMap<string, Verdict> {
  return new Map<string, Verdict>([
    ...[...ACCEPTED, ...accepted].map((name): [string, Verdict] => [name, isAnything]),
    ...Object.entries({ ...RESTRICTED, ...restricted }),
  ]);
}

function assertFields(body: unknown, table: ReadonlyMap<string, Verdict>): Record<string, unknown> {
  if (!isRecord(body)) {
    throw new SanctumError('invalid_request', `The body must be an object, found ${found(body)}.`, {
      param: 'body',
    });
  }
  for (const [name, value] of Object.entries(body)) {
    const isAccepted = table.get(name) ?? isNone;
    if (!isAccepted(value)) {
      const shown = found(name).slice(1, -1);
      throw new SanctumError(
        'unsupported',
        `${shown} is not supported${table.has(name) ? ` with ${found(value)}` : ''}. Leave it out.`,
        { param: shown },
      );
    }
  }
  return body;
}

function enableThinkingOf(fields: Readonly<Record<string, unknown>>): boolean {
  const kwargs = fields['chat_template_kwargs'] ?? {};
  const unknown = isRecord(kwargs)
    ? Object.keys(kwargs).find((key) => key !== 'enable_thinking')
    : '';
  if (!isRecord(kwargs) || unknown !== undefined) {
    throw new SanctumError(
      'unsupported',
      'chat_template_kwargs may only be an object with enable_thinking.',
      { param: 'chat_template_kwargs' },
    );
  }
  const value = kwargs['enable_thinking'] ?? fields['enable_thinking'] ?? false;
  if (typeof value !== 'boolean') {
    throw new SanctumError(
      'invalid_request',
      `enable_thinking must be true or false, found ${found(value)}.`,
      { param: 'enable_thinking' },
    );
  }
  return value;
}

function promptOf(value: unknown): string | number[] {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value) || value.length === 0) {
    throw new SanctumError(
      'invalid_request',
      `prompt must be a text or an array of token ids, found ${found(value)}.`,
      { param: 'prompt' },
    );
  }
  if (value.length === 1 && typeof value[0] === 'string') return value[0];
  if (value.every((token): token is number => Number.isInteger(token) && Number(token) >= 0)) {
    return value;
  }
  throw new SanctumError(
    'unsupported',
    'prompt may be one text or one array of token ids; send several prompts one by one.',
    { param: 'prompt' },
  );
}
