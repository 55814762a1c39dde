import { describe, expect, it } from '@jest/globals';
import { failureClass, outcomeOfError, type AttemptProgress } from './attempt-failure.js';

const SENT: AttemptProgress = { started: true, answered: false, elapsedMs: 5 };

function failure(code: string, bytesRead?: number): Error {
  const socket = bytesRead === undefined ? {} : { socket: { bytesRead } };
  return Object.assign(new Error('x'), { code, ...socket });
}

describe('outcomeOfError', () => {
  it.each<[string, Error, Partial<AttemptProgress>, string]>([
    ['never sent', failure('ECONNREFUSED'), { started: false }, 'connect_failure'],
    ['closed on a fresh connection', failure('UND_ERR_SOCKET', 0), {}, 'transport'],
    ['closed on a used connection', failure('UND_ERR_SOCKET', 300), {}, 'stale_connection'],
    ['reset at once', failure('ECONNRESET'), {}, 'stale_connection'],
    ['reset after a while', failure('ECONNRESET'), { elapsedMs: 1_000 }, 'transport'],
    ['reset within the answer', failure('ECONNRESET'), { answered: true }, 'transport'],
    ['a parser error', failure('HPE_INVALID_CONSTANT'), {}, 'transport'],
  ])('%s', (...row) => {
    const [, error, progress, expected] = row;
    expect(outcomeOfError(error, { ...SENT, ...progress }).kind).toBe(expected);
  });
});

describe('a connection that never came about', () => {
  it.each([
    ['ECONNREFUSED', true],
    ['ECONNRESET', true],
    ['UND_ERR_CONNECT_TIMEOUT', false],
    ['ENOTFOUND', false],
    ['CERT_HAS_EXPIRED', false],
  ])('by %s: was it refused? %s', (code, isRefused) => {
    const outcome = outcomeOfError(failure(code), { ...SENT, started: false });
    expect(outcome).toEqual({ kind: 'connect_failure', isRefused });
  });
});

describe('failureClass', () => {
  it('is the code, or the name', () => {
    expect(failureClass(failure('EPIPE'))).toBe('EPIPE');
    expect(failureClass(new TypeError('x'))).toBe('TypeError');
  });
});
