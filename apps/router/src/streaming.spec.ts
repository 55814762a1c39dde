import { once } from 'node:events';
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { UpstreamProgram } from '@sanctum/testing';
import { startTestRouter, type TestRouter } from './router.fixture.js';

const STREAM = { model: 'm', stream: true, messages: [{ role: 'user', content: 'hi' }] };

describe('streaming', () => {
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

  async function before(...behaviours: string[]): Promise<TestRouter> {
    const [url, ...fallback_urls] = behaviours.map((name) => upstream.url(name));
    return withBackend({ url, fallback_urls });
  }

  async function withBackend(council: object): Promise<TestRouter> {
    router = await startTestRouter({ router: { backends: { council } } });
    return router;
  }

  it('passes every event on as it comes', async () => {
    const { post } = await before('gated');
    const answer = await post(STREAM);
    const reader = readerOf(answer);
    const first = await reader.next();
    expect(first).toContain('"content":"token "');
    expect(first).toContain('"role":"assistant"');
    upstream.release();
    expect(await reader.rest()).toMatch(/equals 4.*\[DONE\]\n\n$/s);
  });

  it('keeps the preamble back until there is content', async () => {
    const { post, get } = await before('gated-preamble');
    const request = upstream.nextRequest();
    let answered = false;
    const answer = post(STREAM).then((response) => {
      answered = true;
      return response;
    });
    await request;
    for (let round = 0; round < 20; round++) await (await get('/v1/models')).text();
    expect(answered).toBe(false);
    upstream.release();
    expect(await (await answer).text()).toMatch(/^data: .*"role":"assistant".*\[DONE\]\n\n$/s);
  });

  it('gives the same bytes as the upstream, whatever its line ends and wherever it cuts', async () => {
    for (const behaviour of ['well', 'crlf', 'drip', 'split-utf8', 'empty-stream']) {
      const { post, stop } = await before(behaviour);
      const direct = await fetch(`${upstream.url(behaviour)}/chat/completions`, {
        method: 'POST',
        body: JSON.stringify(STREAM),
      });
      const through = await post(STREAM);
      expect(await through.text()).toBe(await direct.text());
      expect(through.headers.get('content-type')).toBe(direct.headers.get('content-type'));
      expect(through.headers.get('x-sanctum-model-digest')).toBe('sha256:0123');
      await stop();
    }
    router = undefined;
  });

  describe('a client that leaves', () => {
    it.each([
      ['in the middle of a stream', 'gated', true],
      ['before the first content', 'gated-preamble', false],
      ['before the answer', 'gated-json', false],
    ])('%s cancels the upstream within 100 ms', async (_name, behaviour, readsFirst) => {
      const { url, metric } = await before(behaviour, 'well');
      const direct = upstream.url(behaviour);
      // A client of the upstream itself leaves at the same moment: what a busy machine adds to the
      // one it adds to the other mostly, and what is left in every round is the router's.
      const routerMs: number[] = [];
      for (let round = 0; round < 5; round++) {
        const alone = await openRequest(direct, readsFirst);
        const routed = await openRequest(`${url}/v1`, readsFirst);
        alone.client.destroy();
        routed.client.destroy();
        const [aloneMs, routedMs] = await Promise.all([closedMs(alone.id), closedMs(routed.id)]);
        routerMs.push(routedMs - aloneMs);
      }
      expect(Math.min(...routerMs)).toBeLessThan(100);
      expect(upstream.requests.filter(({ behaviour: name }) => name === 'well')).toEqual([]);
      expect(await metric('sanctum_router_inflight_requests')).toBe(0);
    });

    async function openRequest(
      base: string,
      readsFirst: boolean,
    ): Promise<{ client: ClientRequest; id: number }> {
      const received = upstream.nextRequest();
      const client = httpRequest(`${base}/chat/completions`, { method: 'POST' });
      client.on('error', () => undefined);
      client.end(JSON.stringify(STREAM));
      const { id } = await received;
      if (readsFirst) {
        const [answer] = (await once(client, 'response')) as [IncomingMessage];
        answer.on('error', () => undefined);
        await once(answer, 'data');
      }
      return { client, id };
    }

    /** When the upstream saw that nobody waits any more; false: before it had answered. */
    async function closedMs(id: number): Promise<number> {
      expect(await upstream.closed(id)).toBe(false);
      return performance.now();
    }

    it('before the request is whole leaves nothing behind', async () => {
      const { port, metric } = await before('well');
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      const asked = upstream.requests.length;
      socket.write(
        'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{"a":',
      );
      while ((await metric('sanctum_router_inflight_requests')) === 0);
      socket.destroy();
      while ((await metric('sanctum_router_inflight_requests')) === 1);
      expect(upstream.requests).toHaveLength(asked);
    });
  });

  it('stops reading from an upstream whose client does not read', async () => {
    const { url } = await before('flood');
    const received = upstream.nextRequest();
    const client = httpRequest(`${url}/v1/chat/completions`, { method: 'POST' });
    client.on('error', () => undefined);
    client.end(JSON.stringify(STREAM));
    const { id } = await received;
    const [answer] = (await once(client, 'response')) as [IncomingMessage];
    const heldBytes = process.memoryUsage().arrayBuffers;
    // While the client rests, other requests are served and the flood does not pile up here.
    for (let round = 0; round < 50; round++) await (await fetch(`${url}/v1/models`)).text();
    expect(process.memoryUsage().arrayBuffers - heldBytes).toBeLessThan(16 << 20);
    let bytes = 0;
    for await (const piece of answer as AsyncIterable<Buffer>) bytes += piece.length;
    expect(bytes).toBeGreaterThan(60_000_000);
    expect(await upstream.closed(id)).toBe(true);
  });

  it('gives up a client that does not read for as long as an upstream may be silent', async () => {
    const { url } = await withBackend({ url: upstream.url('flood'), timeouts: { idle_s: 0.2 } });
    const received = upstream.nextRequest();
    const client = httpRequest(`${url}/v1/chat/completions`, { method: 'POST' });
    client.on('error', () => undefined);
    client.end(JSON.stringify(STREAM));
    const { id } = await received;
    const [answer] = (await once(client, 'response')) as [IncomingMessage];
    answer.on('error', () => undefined);
    expect(await upstream.closed(id)).toBe(false);
    client.destroy();
  });
});

interface StreamReader {
  next(): Promise<string>;
  rest(): Promise<string>;
}

function readerOf(answer: Response): StreamReader {
  const reader = answer.body?.getReader();
  if (reader === undefined) throw new Error('The answer has no body.');
  const decoder = new TextDecoder();
  const next = async (): Promise<string> => {
    const piece = (await reader.read()) as { value?: Uint8Array };
    return piece.value === undefined ? '' : decoder.decode(piece.value, { stream: true });
  };
  return {
    next,
    rest: async () => {
      let text = '';
      for (let piece = await next(); piece !== ''; piece = await next()) text += piece;
      return text;
    },
  };
}
