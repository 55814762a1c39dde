import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { HeldAnswer, sendWhole } from './held-answer.js';

const FEW = 7;
const MANY = 8;
/** Latin-1 letters and a sign of three bytes: what goes out is bytes, not characters. */
const BODY = Buffer.from('{"answer":"ä € 4"}', 'utf8');

function held(body = BODY): HeldAnswer {
  return new HeldAnswer({ status: 200, headers: {}, body, isPartial: false });
}

/** A server that hands each response to `serve`, and what happens at its address. */
async function serving<T>(
  serve: (response: ServerResponse) => void,
  act: (port: number) => Promise<T>,
): Promise<T> {
  const server = createServer((_request, response) => {
    response.writeHead(200);
    serve(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await act((server.address() as AddressInfo).port);
  } finally {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
}

async function bytesFrom(port: number): Promise<Buffer> {
  return Buffer.from(await (await fetch(`http://127.0.0.1:${port}`)).arrayBuffer());
}

describe('an answer that is sent whole', () => {
  it.each([
    ['with few under way', BODY, FEW],
    ['with many under way', BODY, MANY],
    ['of 12 KiB, with many under way', Buffer.alloc(12 * 1024, 'ö'), MANY],
    ['of more, with many under way', Buffer.alloc(12 * 1024 + 1, 'ö'), MANY],
    ['of nothing', Buffer.alloc(0), MANY],
  ])('arrives byte for byte: %s', async (_name, body, underWay) => {
    const serve = (response: ServerResponse): void => sendWhole(response, held(body), underWay);
    expect((await serving(serve, bytesFrom)).equals(body)).toBe(true);
  });

  it('leaves at once while few are under way', async () => {
    const ended: boolean[] = [];
    const serve = (response: ServerResponse): void => {
      sendWhole(response, held(), FEW);
      ended.push(response.writableEnded);
    };
    await serving(serve, bytesFrom);
    expect(ended).toEqual([true]);
  });

  it('leaves together with the others of its turn while many are', async () => {
    const waiting: ServerResponse[] = [];
    const ended: boolean[][] = [];
    const look = (): unknown => ended.push(waiting.map(({ writableEnded }) => writableEnded));
    const serve = (response: ServerResponse): void => {
      waiting.push(response);
      if (waiting.length < 2) return;
      for (const one of waiting) sendWhole(one, held(), MANY);
      look();
      setImmediate(look);
    };
    await serving(serve, async (port) => Promise.all([bytesFrom(port), bytesFrom(port)]));
    expect(ended).toEqual([
      [false, false],
      [true, true],
    ]);
  });

  it('is dropped when its client has left before', async () => {
    const closed = serving(
      (response) => {
        sendWhole(response, held(), MANY);
        response.destroy();
      },
      async (port) => {
        const client = connect(port, '127.0.0.1');
        client.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
        let received = '';
        client.on('data', (data) => (received += data.toString()));
        await once(client, 'close');
        return received;
      },
    );
    expect(await closed).toBe('');
  });
});
