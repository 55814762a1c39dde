import { describe, expect, it } from '@jest/globals';
import type { Dialect } from '@sanctum/contracts';
import { upstreamHeaders } from './upstream-headers.js';

const BEARER = ['authorization', 'Bearer sk-1'];
const KEY = ['x-api-key', 'sk-1'];
const VERSION = ['anthropic-version', '2023-06-01'];

function upstream(host: string, dialects: Dialect[] = ['chat', 'messages']) {
  return {
    url: `https://${host}/v1`,
    dialects: new Set(dialects),
    authorization: 'Bearer sk-1',
  };
}

describe('upstreamHeaders', () => {
  it.each([
    '/models',
    '/models/claude',
    '/messages?beta=true',
    '/messages/count_tokens',
    '/messages/batches',
    '/files',
  ])('show Anthropic its key in x-api-key alone, and a version: %s', (target) => {
    for (const dialects of [['chat', 'messages'], ['chat']] satisfies Dialect[][]) {
      const headers = upstreamHeaders(upstream('api.anthropic.com', dialects), target);
      expect(headers).toEqual([...VERSION, ...KEY]);
    }
  });

  it.each(['/models', '/messages', '/messages/count_tokens'])(
    'show others that speak its dialect the key in both places: %s',
    (target) => {
      const headers = upstreamHeaders(upstream('127.0.0.1:1'), target);
      expect(headers).toEqual([...VERSION, ...KEY, ...BEARER]);
    },
  );

  it.each(['/chat/completions', '/chat/completions?x=1', '/responses'])(
    "have a bearer alone for OpenAI's conversations: %s",
    (target) => {
      expect(upstreamHeaders(upstream('api.anthropic.com'), target)).toEqual(BEARER);
    },
  );

  it('have a bearer alone where only chat is spoken, whatever is asked', () => {
    const chat = upstream('anthropic.com.example.org', ['chat']);
    expect(upstreamHeaders(chat, '/models')).toEqual(BEARER);
    expect(upstreamHeaders(chat, '/messages/count_tokens')).toEqual(BEARER);
  });

  it('leave the version to a client that sent one', () => {
    const sent = { 'anthropic-version': '2024-01-01' };
    expect(upstreamHeaders(upstream('api.anthropic.com'), '/messages', sent)).toEqual(KEY);
  });

  it('have no key where none is named', () => {
    const open = { ...upstream('127.0.0.1:1'), authorization: undefined };
    expect(upstreamHeaders(open, '/messages')).toEqual(VERSION);
    expect(upstreamHeaders(open, '/chat/completions')).toEqual([]);
  });
});
