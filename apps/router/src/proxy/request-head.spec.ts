import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { forwardedHeaders, pathBelowV1, requestIdOf } from './request-head.js';

function requestWith(rawHeaders: string[]): IncomingMessage {
  const headers: Record<string, string> = {};
  for (let index = 0; index < rawHeaders.length; index += 2) {
    headers[(rawHeaders[index] ?? '').toLowerCase()] = rawHeaders[index + 1] ?? '';
  }
  return { rawHeaders, headers } as unknown as IncomingMessage;
}

describe('forwardedHeaders', () => {
  it('drops what ends at this hop, also what Connection lists, and keeps order and repeats', () => {
    const raw = ['Host', 'a', 'X-B', '1', 'Connection', 'keep-alive, X-Hop', 'X-Hop', 'gone'];
    raw.push('x-b', '2', 'Transfer-Encoding', 'chunked', 'Content-Type', 'application/json');
    expect(forwardedHeaders(requestWith(raw), 'id')).toEqual([
      ...['x-request-id', 'id', 'x-b', '1', 'x-b', '2'],
      ...['content-type', 'application/json'],
    ]);
  });
});

describe('requestIdOf', () => {
  it('honours one short token', () => {
    expect(requestIdOf(requestWith(['X-Request-ID', 'req_1.a-b:c']))).toBe('req_1.a-b:c');
    expect(requestIdOf(requestWith(['X-Request-ID', 'a b']))).toMatch(/^[0-9a-f-]{36}$/);
    expect(requestIdOf(requestWith([]))).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('pathBelowV1', () => {
  it.each([
    ['/v1/chat/completions', '/chat/completions'],
    ['/v1/files?x=../y', '/files?x=../y'],
    ['/v1/files/a..b/.c', '/files/a..b/.c'],
    ['/v1/models/org%2Fname', '/models/org%2Fname'],
    ['/v1/', '/'],
  ])('%s becomes %s', (target, expected) => {
    expect(pathBelowV1(target)).toBe(expected);
  });

  it.each([
    '/v1',
    '/v2/chat',
    'http://evil/v1/chat',
    '/v1/..',
    '/v1/../x',
    '/v1/./x',
    '/v1/%2e%2E/x',
    '/v1/a%2f..%2fx',
    '/v1/a%5c..%5cx',
    '/v1//x',
    '/v1/a\\x',
  ])('%s is refused', (target) => {
    expect(pathBelowV1(target)).toBeUndefined();
  });
});
