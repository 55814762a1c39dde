import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { useRouterBench } from '../router-bench.fixture.js';
import { isLookAlike, namesModel, pathBelowV1, pathOf } from './request-path.js';

const NAMING = [
  '/chat/completions',
  '/completions',
  '/embeddings',
  '/responses',
  '/messages',
  '/messages/count_tokens',
  '/audio/speech',
] as const;

describe('pathBelowV1', () => {
  it.each([
    ['/v1/chat/completions', '/chat/completions'],
    ['/v1/files?x=../y', '/files?x=../y'],
    ['/v1/files?x=%63', '/files?x=%63'],
    ['/v1/files/a..b/.c', '/files/a..b/.c'],
    ['/v1/models/org%2Fname', '/models/org%2Fname'],
    ['/v1/files/%C3%BC%20b%40c', '/files/%C3%BC%20b%40c'],
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
    '/v1/..;a=b/x',
    '/v1/%2e%2E/x',
    '/v1/a%2f..%2fx',
    '/v1/a%5c..%5cx',
    '/v1//x',
    '/v1/a\\x',
    '/v1/chat/%63ompletions',
    '/v1/chat/complet%69ons?x',
    '/v1/files/%7Ea',
    '/v1/files/%',
    '/v1/files/%u0063',
  ])('%s is refused', (target) => {
    expect(pathBelowV1(target)).toBeUndefined();
  });

  it('refuses what needs no encoding, and nothing else', () => {
    for (let byte = 0; byte < 256; byte++) {
      const hex = byte.toString(16).padStart(2, '0');
      const isUnreserved = /[A-Za-z0-9._~-]/.test(String.fromCharCode(byte));
      for (const encoded of [`%${hex}`, `%${hex.toUpperCase()}`]) {
        expect(pathBelowV1(`/v1/a${encoded}b`) === undefined).toBe(isUnreserved);
      }
    }
  });
});

describe('isLookAlike', () => {
  it.each([
    '/chat/completions/',
    '/Chat/Completions',
    '/chat%2fcompletions',
    '/chat/completions%2F',
    '/chat/completions;v=1',
    '/chat;v=1/completions',
    '/chat/completions%3Bv=1',
    '/chat/completions%3Fx=1',
    '/chat/completions#x',
    '/chat/completions%23x',
    '/chat/completions%20',
    '/chat/completions%00',
    '/chat/%2563ompletions',
    '/chat/%252563ompletions',
    '/completions/',
    '/MESSAGES',
    '/Audio/speech',
  ])('is %s', (path) => {
    expect(isLookAlike(path)).toBe(true);
  });

  it.each([
    ...NAMING,
    '/',
    '/audio/voices/My%20Voice/',
    '/chat/completions/chatcmpl-1',
    '/chat/completions/chatcmpl-1/messages',
    '/responses/resp_1/cancel',
    '/messages/batches',
    '/threads/t/messages',
    '/files/a;b/',
    '/Files',
  ])('is not %s', (path) => {
    expect(isLookAlike(path)).toBe(false);
  });
});

/** Servers that are less exact than the router, each in its own way and all at once. */
function asTolerantServersRead(target: string): string {
  let path = target;
  for (let pass = 0; pass < 3; pass++) path = decodeURIComponent(path);
  path = path.replace(/[?#].*/s, '').replace(/;[^/]*/g, '');
  return path.replaceAll('\\', '/').replace(/\/+/g, '/').replace(/\/$/, '').toLowerCase();
}

describe('a path that an upstream could take for one that names a model', () => {
  const encoded = (character: string): string =>
    `%${(character.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`;
  const disguise = fc.constantFrom<(character: string) => string>(
    (character) => character,
    (character) => character.toUpperCase(),
    encoded,
    (character) => encoded(character).toUpperCase(),
    (character) => encoded(character).replace('%', '%25'),
    (character) => (character === '/' ? '//' : character),
    (character) => (character === '/' ? '\\' : character),
    (character) => (character === '/' ? ';v=1/' : character),
  );
  const ending = fc.constantFrom(
    '',
    '/',
    '//',
    '%2f',
    ';',
    ';a=/',
    '%3b',
    '#x',
    '%23',
    '%3f',
    '?x=1',
  );

  const disguised = fc
    .tuple(
      fc.constantFrom(...NAMING),
      fc.array(disguise, { minLength: 20, maxLength: 20 }),
      fc.nat({ max: 19 }),
      ending,
    )
    .map(([path, disguises, plainUpTo, end]) => {
      const characters = Array.from(path, (character, index) =>
        index <= plainUpTo ? character : (disguises[index]?.(character) ?? ''),
      );
      return characters.join('') + end;
    })
    .filter((below) => namesModel(asTolerantServersRead(below)));

  it('is read by the router as well, or refused', () => {
    fc.assert(
      fc.property(disguised, (below) => {
        const read = pathBelowV1(`/v1${below}`);
        const isRefused = read === undefined || isLookAlike(pathOf(read));
        expect(isRefused || namesModel(pathOf(read))).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('over the wire', () => {
  const bench = useRouterBench();

  async function post(path: string): Promise<{ status: number | undefined; body: string }> {
    const { port } = bench.router;
    const request = httpRequest({ host: '127.0.0.1', port, path, method: 'POST' });
    request.end(JSON.stringify({ model: 'unheard-of', messages: [] }));
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    return { status: answer.statusCode, body: await text(answer) };
  }

  it.each([
    ['an encoded letter', '/v1/chat/%63ompletions', 'percent-encoded'],
    ['a trailing slash', '/v1/chat/completions/', 'without a trailing slash'],
    ['capitals', '/v1/Chat/completions', 'in lower case'],
    ['a parameter', '/v1/completions;x=1?y', 'parameters'],
    ['a fragment', '/v1/messages#x', 'parameters'],
  ])('%s does not carry a question past strict_models', async (_name, path, message) => {
    const backends = { main: { url: bench.upstream.url('echo') } };
    await bench.start({ router: { strict_models: true, backends } });
    const { status, body } = await post(path);
    expect(status).toBe(400);
    expect(body).toContain(message);
    expect(bench.upstream.requests).toEqual([]);
    expect((await post('/v1/chat/completions')).status).toBe(404);
  });
});
