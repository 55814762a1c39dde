import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { SanctumError } from '@sanctum/errors';
import fc from 'fast-check';
import { Relay } from './relay.js';

const FAILURE = new SanctumError('upstream_failed', 'It broke.');
const ERROR_EVENT =
  'data: {"error":{"message":"It broke.","type":"api_error","code":"upstream_failed",' +
  '"param":null,"source":"router"}}\n\n';

/** What a client receives when `act` drives the relay; undefined when it was cut off. */
async function relayed(
  act: (relay: Relay) => void,
  options: { events?: boolean; eventBytesMax?: number } = {},
): Promise<string | undefined> {
  const { events = true, eventBytesMax = 1_000 } = options;
  const server = createServer((_request, response: ServerResponse) => {
    response.writeHead(200);
    act(new Relay(response, { events, eventBytesMax }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    return await (await fetch(`http://127.0.0.1:${port}`)).text();
  } catch {
    return undefined;
  } finally {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
}

describe('Relay', () => {
  it('ends a dying stream with an event of its own, never inside one of the upstream', async () => {
    const text = await relayed((relay) => {
      relay.write(Buffer.from('data: a\n\ndata: b'));
      relay.write(Buffer.from('c'));
      relay.fail(FAILURE);
    });
    expect(text).toBe(`data: a\n\n${ERROR_EVENT}`);
  });

  it('lets an unfinished event through when the stream ends well', async () => {
    const text = await relayed((relay) => {
      relay.write(Buffer.from('data: a\n\ndata: [DO'));
      relay.write(Buffer.from('NE]\n'));
      relay.end();
    });
    expect(text).toBe('data: a\n\ndata: [DONE]\n');
  });

  it('lets an event longer than its limit through in parts, and closes it before its own', async () => {
    const long = `data: ${'x'.repeat(20)}`;
    const text = await relayed(
      (relay) => {
        relay.write(Buffer.from(long));
        relay.write(Buffer.from('y'));
        relay.fail(FAILURE);
      },
      { eventBytesMax: 10 },
    );
    expect(text).toBe(`${long}\n\n${ERROR_EVENT}`);
  });

  it('cuts off an answer that is no event stream', async () => {
    const text = await relayed(
      (relay) => {
        relay.write(Buffer.from('{"half":'));
        relay.fail(FAILURE);
      },
      { events: false },
    );
    expect(text).toBeUndefined();
  });

  it('gives every byte in order, however it arrives', async () => {
    const events = 'data: é\r\n\r\n: c\n\ndata: 😀\ndata: b\n\n'.repeat(3);
    const whole = Buffer.from(events);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(whole.length), { maxLength: 8 }), async (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), whole.length];
        const text = await relayed((relay) => {
          at.slice(1).forEach((to, index) => relay.write(whole.subarray(at[index], to)));
          relay.end();
        });
        expect(text).toBe(events);
      }),
      { numRuns: 20 },
    );
  });
});
