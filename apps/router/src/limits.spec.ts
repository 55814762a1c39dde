import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { UpstreamProgram } from '@sanctum/testing';
import { DEFAULT_LIMITS, limitsFrom, type RouterLimits } from './limits.js';
import { startTestRouter, type TestRouter } from './router.fixture.js';

const CHAT = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };

describe('limits', () => {
  let upstream: UpstreamProgram;
  let router: TestRouter | undefined;
  beforeAll(async () => {
    upstream = await UpstreamProgram.start();
  });
  afterAll(() => upstream.kill());
  afterEach(async () => {
    await router?.stop();
    router = undefined;
    upstream.requests.length = 0;
  });

  async function limited(
    limits: Partial<RouterLimits>,
    behaviour = 'well',
    timeouts: object = {},
  ): Promise<TestRouter> {
    const council = { url: upstream.url(behaviour), timeouts };
    router = await startTestRouter({ router: { backends: { council } }, limits });
    return router;
  }

  async function envelopeOf(answer: Response): Promise<Record<string, unknown>> {
    const { error } = (await answer.json()) as { error: Record<string, unknown> };
    expect(error).toMatchObject({ source: 'router' });
    return error;
  }

  it('takes the settings of instance.yaml over the defaults', () => {
    const settings = { body_mb: 100, connections: 5, requests: 6, header_kb: 7 };
    expect(limitsFrom({ ...settings, request_read_s: 0.5, drain_s: 2 })).toMatchObject({
      bodyBytesMax: 100 << 20,
      bufferedBytesMax: 100 << 20,
      connectionsMax: 5,
      inFlightMax: 6,
      headerBytesMax: 7_168,
      requestReadMs: 500,
      headersReadMs: 500,
      drainMs: 2_000,
    });
    expect(limitsFrom({})).toEqual(DEFAULT_LIMITS);
  });

  describe('bodyBytesMax', () => {
    const body = JSON.stringify({ ...CHAT, pad: 'x'.repeat(2_000) });

    it('refuses a body that says it is larger', async () => {
      const { post } = await limited({ bodyBytesMax: 1_000 });
      const answer = await post(body);
      expect(answer.status).toBe(413);
      expect(await envelopeOf(answer)).toMatchObject({ code: 'body_too_large' });
      expect(upstream.requests).toEqual([]);
    });

    it('refuses a body that turns out to be larger', async () => {
      const { url } = await limited({ bodyBytesMax: 1_000 });
      const stream = new Blob([body.slice(0, 900), body.slice(900)]).stream();
      const init = { method: 'POST', body: stream, duplex: 'half' };
      const answer = await fetch(`${url}/v1/chat/completions`, init as object);
      expect(answer.status).toBe(413);
    });

    it('serves the next request on the same connection', async () => {
      const { post } = await limited({ bodyBytesMax: 1_000 });
      await (await post(body)).text();
      expect((await post(CHAT)).status).toBe(200);
    });

    it('gives one who goes on sending no longer than anybody else', async () => {
      // Long enough for its head to be read, whatever the machine does besides.
      const { port } = await limited({
        ...{ bodyBytesMax: 1_000, headersReadMs: 1_000, requestReadMs: 1_000 },
      });
      const socket = await open(port);
      socket.write(
        'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9999999\r\n\r\n',
      );
      socket.write('x'.repeat(100_000));
      expect(await textOf(socket)).toMatch(/^HTTP\/1.1 413 .*"code":"body_too_large"/s);
    });
  });

  it('headerBytesMax: 431', async () => {
    const { get } = await limited({ headerBytesMax: 2_000 });
    const answer = await get('/v1/models', { headers: { 'x-long': 'x'.repeat(4_000) } });
    expect(answer.status).toBe(431);
    expect(await envelopeOf(answer)).toMatchObject({ code: 'headers_too_large' });
  });

  it.each([
    ['headersReadMs', 'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-slow: '],
    [
      'requestReadMs',
      'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{"messages',
    ],
  ])('%s: 408 for one who sends too slowly, and nothing stays open', async (_name, sent) => {
    const { port, metric } = await limited({ headersReadMs: 50, requestReadMs: 50 });
    const socket = await open(port);
    socket.write(sent);
    expect(await textOf(socket)).toMatch(/^HTTP\/1.1 408 .*"code":"request_timeout"/s);
    expect(await metric('sanctum_router_inflight_requests')).toBe(0);
  });

  it('inFlightMax: 429 with Retry-After, and room again afterwards', async () => {
    const { post, metric } = await limited({ inFlightMax: 2 }, 'gated-json');
    const first = upstream.nextRequest();
    const slow = [post(CHAT)];
    await first;
    const second = upstream.nextRequest();
    slow.push(post(CHAT));
    await second;
    const answer = await post(CHAT);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '1']);
    expect(await envelopeOf(answer)).toMatchObject({ code: 'queue_full' });
    expect(await metric('sanctum_router_refused_requests_total{reason="queue_full"}')).toBe(1);
    upstream.release();
    for (const one of await Promise.all(slow)) {
      expect(one.status).toBe(200);
      await one.text();
    }
    const next = upstream.nextRequest();
    const later = post(CHAT);
    await next;
    upstream.release();
    expect((await later).status).toBe(200);
  });

  it('answers each of 1,000 parallel requests, 64 at a time or with 429', async () => {
    const { post, metric } = await limited({ inFlightMax: 64 });
    const answers = await Promise.all(Array.from({ length: 1_000 }, () => post(CHAT)));
    const statuses = new Map<number, number>();
    for (const answer of answers) {
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      if (answer.status === 429) expect(answer.headers.get('retry-after')).toBe('1');
      await answer.text();
    }
    expect([...statuses.keys()].every((status) => status === 200 || status === 429)).toBe(true);
    expect(statuses.get(200)).toBe(upstream.requests.length);
    expect((statuses.get(200) ?? 0) + (statuses.get(429) ?? 0)).toBe(1_000);
    expect(await metric('sanctum_router_inflight_requests')).toBe(0);
  });

  it('bufferedBytesMax: 429 while the bodies of others fill it', async () => {
    const { post } = await limited({ bufferedBytesMax: 1_500 }, 'gated-json');
    const body = { ...CHAT, pad: 'x'.repeat(1_000) };
    const received = upstream.nextRequest();
    const first = post(body);
    await received;
    const second = await post(body);
    expect([second.status, second.headers.get('retry-after')]).toEqual([429, '1']);
    upstream.release();
    await (await first).text();
    const again = upstream.nextRequest();
    const third = post(body);
    await again;
    upstream.release();
    expect((await third).status).toBe(200);
  });

  it('connectionsMax: a further connection is closed', async () => {
    const { port } = await limited({ connectionsMax: 1 });
    const first = await open(port);
    await closed(await open(port));
    first.destroy();
  });

  it('upstreamConnectionsMax: the next request waits for a connection', async () => {
    const { post } = await limited({ upstreamConnectionsMax: 1 }, 'gated-json');
    const first = upstream.nextRequest();
    const answers = [post(CHAT), post(CHAT)];
    await first;
    const second = upstream.nextRequest();
    expect(upstream.requests).toHaveLength(1);
    upstream.release();
    await second;
    upstream.release();
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    expect(statuses).toEqual([200, 200]);
  });

  it('preambleBytesMax: a long preamble is let through', async () => {
    const { post } = await limited({ preambleBytesMax: 50 }, 'gated-preamble');
    const answer = await post({ ...CHAT, stream: true });
    expect(answer.headers.get('content-type')).toContain('text/event-stream');
    upstream.release();
    expect(await answer.text()).toContain('[DONE]');
  });

  it('heldAnswerBytesMax: a long answer is streamed', async () => {
    const { post } = await limited({ heldAnswerBytesMax: 10 });
    const answer = await post(CHAT);
    expect(await answer.json()).toMatchObject({ usage: { total_tokens: 20 } });
  });

  it('drains: what is under way is answered, what is new is refused', async () => {
    const { post, stop } = await limited({}, 'gated-json');
    const received = upstream.nextRequest();
    const answer = post(CHAT);
    await received;
    const stopped = stop();
    router = undefined;
    await expect(post(CHAT)).rejects.toThrow();
    upstream.release();
    expect((await answer).status).toBe(200);
    await stopped;
  });

  it('drainMs: what does not end is cut off', async () => {
    const { post, stop } = await limited({ drainMs: 50 }, 'stall');
    const received = upstream.nextRequest();
    const answer = post(CHAT);
    const { id } = await received;
    const refused = expect(answer).rejects.toThrow();
    await stop();
    router = undefined;
    await refused;
    expect(await upstream.closed(id)).toBe(false);
  });
});

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** However it ends: who closes while the other still sends resets the connection. */
function closed(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once('close', resolve));
}

async function textOf(socket: Socket): Promise<string> {
  const pieces: Buffer[] = [];
  socket.on('data', (piece: Buffer) => pieces.push(piece));
  await closed(socket);
  return Buffer.concat(pieces).toString('utf8');
}
