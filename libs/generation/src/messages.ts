import { SanctumError } from '@sanctum/errors';
import { found, isRecord } from './found.js';
import type { ChatMessage } from './request.js';

/** Messages that one request may hold. */
export const MESSAGES_MAX = 4096;

const ROLES = ['system', 'developer', 'user', 'assistant'] as const;
const KNOWN = new Set(['role', 'content', 'name']);

/** Checks the `messages` of a chat request; errors name the message and field at fault. */
export function parseMessages(value: unknown): ChatMessage[] {
  if (!Array.isArray(value)) throw invalid('messages', `must be an array, found ${found(value)}`);
  if (value.length === 0) throw invalid('messages', 'must hold at least one message');
  if (value.length > MESSAGES_MAX) {
    throw invalid('messages', `may hold at most ${MESSAGES_MAX} messages, found ${value.length}`);
  }
  return value.map((message, index) => parseMessage(message, `messages[${index}]`));
}

function parseMessage(value: unknown, at: string): ChatMessage {
  if (!isRecord(value)) throw invalid(at, `must be an object, found ${found(value)}`);
  const role = parseRole(value['role'], `${at}.role`);
  for (const [key, field] of Object.entries(value)) {
    if (!KNOWN.has(key) && !isEmpty(field)) {
      throw new SanctumError('unsupported', `${at}.${key} is not supported. Leave it out.`, {
        param: `${at}.${key}`,
      });
    }
  }
  const content = parseContent(value['content'], `${at}.content`);
  const name = value['name'];
  if (isEmpty(name)) return { role, content };
  if (typeof name !== 'string' || name.length > 256) {
    throw invalid(`${at}.name`, `must be a string of at most 256 characters, found ${found(name)}`);
  }
  return { role, content, name };
}

function parseRole(value: unknown, at: string): ChatMessage['role'] {
  const role = ROLES.find((known) => known === value);
  if (role !== undefined) return role;
  if (value === 'tool' || value === 'function') {
    throw new SanctumError('unsupported', `${at}: tool calls are not supported yet.`, {
      param: at,
    });
  }
  throw invalid(at, `must be one of ${ROLES.join(', ')}, found ${found(value)}`);
}

function parseContent(value: unknown, at: string): string {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value) || value.length === 0) {
    throw invalid(at, `must be a string or an array of text parts, found ${found(value)}`);
  }
  return value.map((part: unknown, index) => parsePart(part, `${at}[${index}]`)).join('');
}

function parsePart(part: unknown, at: string): string {
  if (!isRecord(part)) throw invalid(at, `must be an object, found ${found(part)}`);
  if (part['type'] !== 'text') {
    throw new SanctumError(
      'unsupported',
      `${at}.type: only text parts are supported, found ${found(part['type'])}.`,
      { param: `${at}.type` },
    );
  }
  if (typeof part['text'] !== 'string') {
    throw invalid(`${at}.text`, `must be a string, found ${found(part['text'])}`);
  }
  return part['text'];
}

/** Clients send an answer back as they got it: with `refusal: null`, `annotations: []`. */
function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || (Array.isArray(value) && value.length === 0);
}

function invalid(param: string, what: string): SanctumError {
  return new SanctumError('invalid_request', `${param} ${what}.`, { param });
}
