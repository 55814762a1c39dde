import { describe, expect, it } from '@jest/globals';
import { HeldAnswer } from './held-answer.js';
import { trueStatus } from './true-status.js';

const of = (body: unknown, status = 200): number => {
  return ofText(JSON.stringify(body), status);
};

function ofText(text: string, status = 200): number {
  const body = Buffer.from(text);
  return trueStatus(new HeldAnswer({ status, headers: {}, body, isPartial: false }));
}

describe('trueStatus', () => {
  it.each([
    [{ error: { message: 'x', code: 429 } }, 429],
    [{ error: { message: 'x', code: 'bad' } }, 502],
    [{ error: { message: 'x', code: 200 } }, 502],
    [{ error: 'Model not loaded' }, 502],
  ])('%j means %d', (body, status) => {
    expect(of(body)).toBe(status);
  });

  it.each([
    [{ choices: [], error: { code: 500 } }],
    [{ object: 'response', status: 'failed', error: { code: 'server_error' } }],
    [{ error: null }],
    [{ message: 'about an "error"' }],
    [['error']],
  ])('%j is an answer', (body) => {
    expect(of(body)).toBe(200);
  });

  it('leaves an error status alone', () => {
    expect(of({ error: { code: 404 } }, 500)).toBe(500);
  });

  it('leaves alone what is no JSON', () => {
    expect(ofText('{"error"')).toBe(200);
  });
});
