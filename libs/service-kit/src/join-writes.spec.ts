import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { waitUntil } from '@sanctum/testing';
import fc from 'fast-check';
import { JOINED_BYTES_MAX, joinWrites } from './join-writes.js';

type Write = readonly [chunk: string | Buffer, encoding?: BufferEncoding];

describe('joinWrites', () => {
  const server = createServer();
  let near: Socket;
  let far: Socket;

  beforeEach(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection');
    near = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(near, 'connect');
    [far] = (await accepted) as [Socket];
  });
  afterEach(async () => {
    near.destroy();
    far.destroy();
    server.close();
    await once(server, 'close');
  });

  /** Writes the pieces corked and reads them at the other end, as many bytes as there should be. */
  async function passed(writes: readonly Write[]): Promise<Buffer> {
    const bytes = bytesOf(writes).length;
    near.cork();
    for (const [chunk, encoding] of writes) near.write(chunk, encoding);
    near.uncork();
    let received = Buffer.alloc(0);
    const take = (part: Buffer): unknown => (received = Buffer.concat([received, part]));
    far.on('data', take);
    await waitUntil(() => received.length >= bytes, { what: 'all bytes have come' });
    far.off('data', take);
    return received;
  }

  it.each<[string, readonly Write[], 'one' | 'a list']>([
    ['a head and a body', [['POST /ü\r\n', 'latin1'], [Buffer.from('{"ä":"€"}')]], 'one'],
    ['a chunk', [['5\r\n', 'latin1'], [Buffer.from('hello')], ['\r\n', 'latin1']], 'a list'],
    [
      'text whose bytes are still to be made',
      [
        ['5', 'latin1'],
        ['€', 'utf8'],
      ],
      'a list',
    ],
    [
      'all that may be joined',
      [
        ['x'.repeat(JOINED_BYTES_MAX - 1), 'latin1'],
        ['y', 'latin1'],
      ],
      'one',
    ],
    [
      'more',
      [
        ['x'.repeat(JOINED_BYTES_MAX), 'latin1'],
        ['y', 'latin1'],
      ],
      'a list',
    ],
  ])('sends %s', async (_name, writes, as) => {
    const list = jest.spyOn(near, '_writev' as never);
    joinWrites(near);
    expect((await passed(writes)).equals(bytesOf(writes))).toBe(true);
    expect(list).toHaveBeenCalledTimes(as === 'one' ? 0 : 1);
  });

  it('changes no byte and no order, whatever is written', async () => {
    joinWrites(near);
    const write = fc.oneof(
      fc.uint8Array({ maxLength: 3_000 }).map((bytes): Write => [Buffer.from(bytes)]),
      fc.string({ unit: 'binary' }).map((text): Write => [text, 'utf8']),
      fc.string({ unit: 'binary-ascii' }).map((text): Write => [text, 'latin1']),
    );
    const writes = fc.array(write, { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(writes, async (some) => {
        expect((await passed(some)).equals(bytesOf(some))).toBe(true);
      }),
    );
  });

  it('tells each writer, in order, when its piece has gone', async () => {
    joinWrites(near);
    const told: string[] = [];
    near.cork();
    near.write('a', 'latin1', () => told.push('a'));
    near.write('b', 'latin1', () => told.push('b'));
    near.uncork();
    await once(far, 'data');
    expect(told).toEqual(['a', 'b']);
  });
});

function bytesOf(writes: readonly Write[]): Buffer {
  return Buffer.concat(
    writes.map(([chunk, encoding]) =>
      typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk,
    ),
  );
}
