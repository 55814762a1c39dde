import { describe, expect, it } from '@jest/globals';
import { ERROR_CATALOGUE } from './catalogue.js';
import { toEnvelope } from './envelope.js';
import { isSanctumError, messageOf, SanctumError } from './sanctum-error.js';
import { scrub } from './scrub.js';

describe('SanctumError', () => {
  it('keeps code, param, cause and definition', () => {
    const cause = new Error('root');
    const error = new SanctumError('queue_full', 'full', { cause, param: 'x', retryAfterS: 2 });
    expect(error).toMatchObject({ code: 'queue_full', param: 'x', retryAfterS: 2, cause });
    expect(error.definition).toBe(ERROR_CATALOGUE.queue_full);
  });

  it('is recognised by shape, so that it survives process boundaries', () => {
    const foreign = Object.assign(new Error('x'), { name: 'SanctumError', code: 'loading' });
    expect(isSanctumError(foreign)).toBe(true);
    expect(isSanctumError(Object.assign(new Error('x'), { code: 'loading' }))).toBe(false);
    expect(
      isSanctumError(Object.assign(new Error('x'), { name: 'SanctumError', code: 'toString' })),
    ).toBe(false);
  });
});

describe('toEnvelope', () => {
  it('speaks OpenAI and names the source', () => {
    const error = new SanctumError('queue_full', 'The queue is full.', { retryAfterS: 1 });
    expect(toEnvelope(error, 'engine')).toEqual({
      status: 429,
      retryAfterS: 1,
      body: {
        error: {
          message: 'The queue is full.',
          type: 'rate_limit_error',
          code: 'queue_full',
          param: null,
          source: 'engine',
        },
      },
    });
  });

  it('never shows the message of an unexpected error', () => {
    const { status, body } = toEnvelope(new Error('secret token abc'), 'router');
    expect(status).toBe(500);
    expect(JSON.stringify(body)).not.toContain('abc');
  });
});

describe('messageOf', () => {
  it('takes anything thrown', () => {
    expect(messageOf(new Error('a'))).toBe('a');
    expect(messageOf('b')).toBe('b');
  });
});

describe('scrub', () => {
  it('gives back the value itself when nothing has to go', () => {
    const record = { backend: 'mock', tokens: 3, nested: { url: 'http://a/b' }, none: undefined };
    expect(scrub(record)).toBe(record);
  });

  it('copies what it changes, and leaves the rest in its place', () => {
    const record = {
      a: 1,
      auth: { token: 's3cret', user: 'u' },
      prompt: 'p',
      url: 'http://u:p@h/',
      urls: ['https://u:p@q@h?a=1', 'http://h/a@b', 'http://h?m=a@b'],
    };
    expect(scrub(record)).toEqual({
      a: 1,
      auth: { token: '[scrubbed]', user: 'u' },
      prompt: '[left out]',
      url: 'http://[scrubbed]@h/',
      urls: ['https://[scrubbed]@h?a=1', 'http://h/a@b', 'http://h?m=a@b'],
    });
    expect(record.auth.token).toBe('s3cret');
  });

  it('takes no method and no hidden name of an object along', () => {
    class Told {
      readonly name = 'n';
      toJSON(): string {
        return 's3cret';
      }
    }
    expect(JSON.stringify(scrub(new Told()))).toBe('{"name":"n"}');
    const poisoned: unknown = JSON.parse('{"__proto__":{"x":1},"a":1}');
    expect(Object.keys(scrub(poisoned) as object)).toEqual(['a']);
  });

  it('bounds breadth and depth', () => {
    const wide = Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`n${n}`, n]));
    expect(Object.keys(scrub(wide) as object)).toHaveLength(100);
    let deep: unknown = 'end';
    for (let level = 0; level < 10; level++) deep = { deep };
    expect(JSON.stringify(scrub(deep))).toContain('"[deep]"');
  });
});
