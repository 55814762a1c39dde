import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readTransportRecord, TransportCounts } from '@sanctum/identity';
import { countTransports } from './count-transports.js';

describe('how a request came in', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sanctum-counted-'));
    file = join(folder, 'service.json');
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  /** What is counted after one request with these headers from this machine. */
  async function counted(headers: OutgoingHttpHeaders, status = 200): Promise<string[]> {
    const counts = await TransportCounts.open({
      file,
      onProblem: (reason) => {
        throw new Error(reason);
      },
    });
    const server = createServer(
      countTransports((_request, response) => response.writeHead(status).end(), counts),
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const call = request({ host: '127.0.0.1', port, headers, agent: false }).end();
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    response.resume();
    await once(response, 'end');
    server.close();
    await once(server, 'close');
    await counts.close();
    const record = await readTransportRecord(file);
    return Object.values(record?.days ?? {}).flatMap((hits) =>
      hits.map(({ transport }) => transport),
    );
  }

  it.each([
    ['plain-loopback', { host: 'localhost' }],
    ['plain-loopback', { host: 'localhost', authorization: 'Bearer anything' }],
    ['bearer', { host: 'ai.example.com', authorization: 'Bearer it' }],
    ['bearer', { host: 'ai.example.com', 'x-api-key': 'it' }],
    ['open', { host: 'ai.example.com' }],
  ])('is %s with %j', async (transport, headers) => {
    expect(await counted(headers)).toEqual([transport]);
  });

  it.each([401, 403])('is nothing when it was turned away with %d', async (status) => {
    expect(await counted({ host: 'localhost' }, status)).toEqual([]);
  });
});
