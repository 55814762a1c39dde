import { describe, expect, it } from '@jest/globals';
import { namedErrorBody } from './error-answer.js';

const named = (body: string, status = 500) => {
  const { bytes, errorCode } = namedErrorBody(Buffer.from(body), { status, backend: 'b' });
  const { error } = JSON.parse(bytes.toString()) as { error: Record<string, unknown> };
  return { error, errorCode };
};

describe('namedErrorBody', () => {
  it('leaves an envelope that names its source as it is, byte for byte', () => {
    const body = Buffer.from('{ "error":{"message":"m","code":"loading","source":"engine"} }');
    const told = namedErrorBody(body, { status: 503, backend: 'b' });
    expect(told.bytes).toBe(body);
    expect(told.errorCode).toBe('loading');
  });

  it('adds the source to an envelope without one, and keeps its fields', () => {
    const { error } = named('{"error":{"message":"m","type":"t","code":null,"extra":1}}');
    expect(error).toEqual({
      message: 'm',
      type: 't',
      code: null,
      param: null,
      extra: 1,
      source: 'b',
    });
  });

  it.each([
    ['{"error":"no such adapter"}', 'no such adapter'],
    ['{"detail":"Not Found"}', 'Not Found'],
    ['{"message":"Unauthorized"}', 'Unauthorized'],
  ])('makes a message of %s', (body, message) => {
    expect(named(body, 404).error).toEqual({
      message,
      type: 'invalid_request_error',
      code: 'upstream_404',
      param: null,
      source: 'b',
    });
  });

  it.each(['<html>x</html>', '', 'null', '3', '[]', '{"a":1}'])('never passes %j on', (body) => {
    expect(named(body).error).toEqual({
      message: 'Backend "b" answered 500 without an error it could be asked about.',
      type: 'api_error',
      code: 'upstream_500',
      param: null,
      source: 'b',
    });
  });
});
