import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { forwardedHeaders, requestIdOf } from './request-head.js';

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
