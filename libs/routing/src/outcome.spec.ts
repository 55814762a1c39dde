import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  classifyOutcome,
  judgeAttempts,
  type AttemptOutcome,
  type JudgedAttempt,
} from './outcome.js';

const answered = (status: number, bodyClass?: string): AttemptOutcome => ({
  kind: 'answered',
  status,
  ...(bodyClass === undefined ? {} : { bodyClass }),
});

describe('classifyOutcome', () => {
  it.each<[AttemptOutcome, string]>([
    [answered(200), 'success'],
    [answered(302), 'success'],
    [answered(400), 'request_fault'],
    [answered(404), 'request_fault'],
    [answered(401), 'neutral'],
    [answered(403), 'neutral'],
    [answered(408), 'neutral'],
    [answered(429), 'neutral'],
    [answered(500), 'target_fault'],
    [answered(529), 'target_fault'],
    [{ kind: 'answered', status: 503, errorCode: 'loading' }, 'neutral'],
    [{ kind: 'connect_failure' }, 'target_fault'],
    [{ kind: 'transport' }, 'target_fault'],
    [{ kind: 'stall' }, 'target_fault'],
    [{ kind: 'stream_error' }, 'target_fault'],
    [{ kind: 'stale_connection' }, 'neutral'],
    [{ kind: 'deadline' }, 'neutral'],
  ])('%j is %s', (outcome, expected) => {
    expect(classifyOutcome(outcome)).toBe(expected);
  });
});

describe('judgeAttempts', () => {
  const judge = (...outcomes: AttemptOutcome[]): string[] =>
    judgeAttempts(outcomes.map((outcome, urlIndex) => ({ urlIndex, outcome })));

  it('blames the request for the same 5xx with the same kind of body from two URLs', () => {
    expect(judge(answered(500, 'code:x'), answered(500, 'code:x'))).toEqual([
      'request_fault',
      'request_fault',
    ]);
    expect(judge(answered(500, 'code:x'), answered(429), answered(500, 'code:x'))).toEqual([
      'request_fault',
      'neutral',
      'request_fault',
    ]);
  });

  it.each([
    ['another status', answered(500, 'code:x'), answered(502, 'code:x')],
    ['another body', answered(500, 'code:x'), answered(500, 'code:y')],
    ['a body nobody read', answered(500), answered(500)],
    ['no answer', answered(500, 'code:x'), { kind: 'transport' } as const],
  ])('blames two targets for %s', (_name, one, other) => {
    expect(judge(one, other)).toEqual(['target_fault', 'target_fault']);
  });

  it('blames one target that said the same twice', () => {
    const outcome = answered(500, 'code:x');
    const twice = [
      { urlIndex: 0, outcome },
      { urlIndex: 0, outcome },
    ];
    expect(judgeAttempts(twice)).toEqual(['target_fault', 'target_fault']);
  });

  it('differs from the single judgement only for 5xx that another URL repeated', () => {
    const outcome = fc.oneof(
      fc
        .tuple(fc.constantFrom(200, 404, 429, 500, 503), fc.constantFrom('a', 'b', undefined))
        .map(([status, body]) => answered(status, body)),
      fc.constantFrom<AttemptOutcome>({ kind: 'stall' }, { kind: 'connect_failure' }),
    );
    const attempt: fc.Arbitrary<JudgedAttempt> = fc.record({ urlIndex: fc.nat(3), outcome });
    fc.assert(
      fc.property(fc.array(attempt, { maxLength: 6 }), (attempts) => {
        const key = ({ outcome: o }: JudgedAttempt): string =>
          o.kind === 'answered' && o.status >= 500 ? `${o.status}/${o.bodyClass}` : 'other';
        const urlsOf = (wanted: string): Set<number> =>
          new Set(attempts.filter((a) => key(a) === wanted).map(({ urlIndex }) => urlIndex));
        const expected = attempts.map((a) => {
          const shared = key(a) !== 'other' && !key(a).endsWith('undefined');
          return shared && urlsOf(key(a)).size > 1 ? 'request_fault' : classifyOutcome(a.outcome);
        });
        expect(judgeAttempts(attempts)).toEqual(expected);
      }),
    );
  });
});
