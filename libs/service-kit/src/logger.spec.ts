import { describe, expect, it } from '@jest/globals';
import { scrub, scrubText } from '@sanctum/errors';
import { createLogger } from './logger.js';

const SECRET = 'hunter2hunter2';

function logged(write: (logger: ReturnType<typeof createLogger>) => void): string {
  const lines: string[] = [];
  write(createLogger({ service: 'engine', stream: { write: (line) => void lines.push(line) } }));
  return lines.join('');
}

describe('a log line', () => {
  it('is one JSON object with time, level, service and message', () => {
    const line = JSON.parse(logged((logger) => logger.info({ port: 1 }, 'ready'))) as object;
    expect(line).toMatchObject({ level: 'info', service: 'engine', msg: 'ready', port: 1 });
    expect(line).toHaveProperty('time', expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/));
  });

  it.each([
    ['a header', { headers: { authorization: `Bearer ${SECRET}` } }],
    ['a name in capitals', { Authorization: SECRET }],
    ['a nested key', { a: { b: { api_key: SECRET, clientKey: SECRET, token: SECRET } } }],
    ['an array', { list: [{ password: SECRET }] }],
    ['an error', { err: new Error(`refused: Bearer ${SECRET}`) }],
    ['a cause', { err: new Error('x', { cause: new Error(`https://me:${SECRET}@host/`) }) }],
    ['a body', { body: { anything: SECRET } }],
    ['messages', { request: { messages: [{ role: 'user', content: SECRET }] } }],
    ['bytes', { data: Buffer.from(SECRET) }],
  ])('does not hold what is secret in %s', (_where, fields) => {
    const text = logged((logger) => logger.error(fields, 'x'));
    expect(text).toContain('"msg":"x"');
    expect(text).not.toContain(SECRET);
  });

  it('does not hold what is secret in its message or in a child', () => {
    const text = logged((logger) => {
      logger.info(`sent Authorization: Bearer ${SECRET}`);
      logger.child({ url: `https://user:${SECRET}@example.org/` }).info('x');
    });
    expect(text).not.toContain(SECRET);
  });

  it('keeps what only sounds like a secret', () => {
    const fields = { tokens: 3, prompt_tokens: 4, keyboard: 'de', digest: 'a'.repeat(64) };
    expect(scrub(fields)).toEqual(fields);
    expect(scrubText('http://127.0.0.1:1/v1')).toBe('http://127.0.0.1:1/v1');
  });

  it('ends where objects do not', () => {
    const loop: Record<string, unknown> = {};
    loop['self'] = loop;
    expect(JSON.stringify(scrub(loop))).toContain('[deep]');
    expect(scrub(Array.from({ length: 500 }, () => 1))).toHaveLength(100);
  });
});
