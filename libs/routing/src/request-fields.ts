import { SanctumError } from '@sanctum/errors';

/** The fields of a parsed request body that choice depends on. */
export interface RequestFields {
  readonly model: string | undefined;
  readonly stream: boolean;
}

/**
 * Reads `model` and `stream` of a parsed body. Everything else is the upstream's to judge. Throws
 * `invalid_request` naming the field when the body is no object or a field has another type.
 */
export function readRequestFields(body: unknown): RequestFields {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new SanctumError(
      'invalid_request',
      `The body must be a JSON object, found ${typeName(body)}.`,
    );
  }
  const { model, stream } = body as { model?: unknown; stream?: unknown };
  if (model !== undefined && model !== null && typeof model !== 'string') {
    throw wrongType('model', 'a string', model);
  }
  if (stream !== undefined && stream !== null && typeof stream !== 'boolean') {
    throw wrongType('stream', 'true or false', stream);
  }
  return { model: model === null || model === '' ? undefined : model, stream: stream === true };
}

/**
 * Text of the last message whose role is `user` (its text parts joined by a newline), or of a
 * string `prompt`; empty when there is none. Never throws: the shape is the upstream's to judge.
 */
export function lastUserText(body: unknown): string {
  const { messages, prompt } = (body ?? {}) as { messages?: unknown; prompt?: unknown };
  if (!Array.isArray(messages)) {
    return typeof prompt === 'string' ? prompt : '';
  }
  const last: unknown = messages.findLast(
    (message: unknown) => (message as { role?: unknown } | null)?.role === 'user',
  );
  const content = (last as { content?: unknown } | undefined)?.content;
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map((part: unknown) => (part as { text?: unknown } | null)?.text)
    .filter((text) => typeof text === 'string')
    .join('\n');
}

function wrongType(field: string, expected: string, found: unknown): SanctumError {
  return new SanctumError(
    'invalid_request',
    `"${field}" must be ${expected}, found ${typeName(found)}.`,
    { param: field },
  );
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}
