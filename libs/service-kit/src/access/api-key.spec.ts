import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { guard } from './guard.js';

const token = 'a'.repeat(64);

/** What the guard reads of a request that came from beyond this machine. */
function request(headers: Record<string, string>): IncomingMessage {
  return { headers, socket: { remoteAddress: '10.0.0.1' } } as unknown as IncomingMessage;
}

describe("the header of Anthropic's clients", () => {
  const admitted = (headers: Record<string, string>) =>
    guard(request(headers), { token, disabled: false }, 'home');

  it('carries the token as well as Authorization does', () => {
    expect(admitted({ 'x-api-key': token }).transport).toBe('bearer');
    expect(admitted({ authorization: `Bearer ${token}` }).transport).toBe('bearer');
  });

  it('opens nothing with another key, nor beside a wrong Authorization', () => {
    expect(() => admitted({ 'x-api-key': 'b'.repeat(64) })).toThrow();
    expect(() => admitted({ 'x-api-key': token, authorization: 'Bearer no' })).toThrow();
  });
});
