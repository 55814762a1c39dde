import { SanctumError } from '@sanctum/errors';

type Neutral = (value: unknown) => boolean;

const isAbsent: Neutral = (value) => value === undefined || value === null;
const isEmpty: Neutral = (value) => Array.isArray(value) && value.length === 0;
const isOneOf =
  (...values: readonly unknown[]): Neutral =>
  (value) =>
    values.includes(value);

/**
 * Request fields Sanctum knows and does not honour yet, each with the values that ask for nothing
 * and therefore pass. Everything else is refused by name, never ignored.
 */
export const UNSUPPORTED_FIELDS: Readonly<Record<string, Neutral>> = {
  tools: isEmpty,
  tool_choice: isOneOf('none', 'auto'),
  functions: isEmpty,
  function_call: isOneOf('none', 'auto'),
  response_format: (value) => typeOf(value) === 'text',
  modalities: (value) => Array.isArray(value) && value.every((entry) => entry === 'text'),
  audio: isAbsent,
  prediction: isAbsent,
  web_search_options: isAbsent,
  reasoning_effort: isOneOf('none'),
  verbosity: isOneOf('medium'),
  store: isOneOf(false),
  best_of: isOneOf(1),
  echo: isOneOf(false),
  suffix: isOneOf(''),
};

/** Fields that change nothing about an answer: accepted and not used. */
export const IGNORED_FIELDS = [
  'metadata',
  'parallel_tool_calls',
  'prompt_cache_key',
  'prompt_cache_retention',
  'safety_identifier',
  'service_tier',
  'user',
] as const;

const MESSAGE_FIELDS = ['tool_calls', 'tool_call_id', 'function_call', 'audio'];
const ROLES = ['tool', 'function'];

/** Throws `unsupported` with `param` for the first field, role or content part not honoured. */
export function assertSupported(body: unknown): void {
  if (!isRecord(body)) return;
  for (const [field, neutral] of Object.entries(UNSUPPORTED_FIELDS)) {
    const value = body[field];
    if (!isAbsent(value) && !neutral(value)) throw refusal(field);
  }
  const messages = body['messages'];
  if (!Array.isArray(messages)) return;
  for (const [at, message] of messages.entries())
    assertMessageSupported(message, `messages[${at}]`);
}

function assertMessageSupported(message: unknown, path: string): void {
  if (!isRecord(message)) return;
  if (ROLES.some((role) => message['role'] === role)) throw refusal(`${path}.role`);
  for (const field of MESSAGE_FIELDS) {
    const value = message[field];
    if (!isAbsent(value) && !isEmpty(value)) throw refusal(`${path}.${field}`);
  }
  const content = message['content'];
  if (!Array.isArray(content)) return;
  const other = content.findIndex((part) => {
    const type = typeOf(part);
    return type === 'image_url' || type === 'input_audio' || type === 'file' || type === 'refusal';
  });
  if (other >= 0) throw refusal(`${path}.content[${other}].type`);
}

function refusal(param: string): SanctumError {
  return new SanctumError(
    'unsupported',
    `${param}: not supported by this version; leave it out (see the page "compatibility")`,
    { param },
  );
}

function typeOf(value: unknown): unknown {
  return isRecord(value) ? value['type'] : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
