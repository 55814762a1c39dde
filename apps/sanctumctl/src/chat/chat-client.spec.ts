import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { UpstreamProgram } from '@sanctum/testing';
import { streamChat } from './chat-client.js';
import { Conversation, EXCHANGES_MAX } from './conversation.js';
import { readEvents } from './sse.js';

let upstream: UpstreamProgram;
beforeAll(async () => {
  upstream = await UpstreamProgram.start();
});
afterAll(async () => {
  await upstream.kill();
});

const question = [{ role: 'user', content: 'What is 2+2?' }] as const;

function router(behaviour: string): string {
  return upstream.url(behaviour).replace(/\/v1$/, '');
}

async function ask(behaviour: string): Promise<{ text: string; pieces: readonly string[] }> {
  const pieces: string[] = [];
  const options = { router: router(behaviour), model: undefined };
  const { text } = await streamChat(question, options, (piece) => pieces.push(piece));
  return { text, pieces };
}

describe('streamChat', () => {
  it.each(['well', 'crlf', 'drip'])('gives each piece as it comes (%s)', async (behaviour) => {
    expect(await ask(behaviour)).toEqual({
      text: '2 + 2 equals 4.',
      pieces: ['2 + 2 ', 'equals 4.'],
    });
  });

  it.each([
    ['error-event', /ended with an error: out of memory/],
    ['die-midway', /The answer broke off/],
    ['empty-stream', /The answer broke off before its end/],
    ['status-429', /answered 429: upstream says 429/],
    ['html', /answered 502: <html>/],
    ['string-error', /answered 404: \{"error":"no such adapter"\}/],
  ])('says what went wrong (%s)', async (behaviour, message) => {
    await expect(ask(behaviour)).rejects.toMatchObject({ code: 'upstream_failed' });
    await expect(ask(behaviour)).rejects.toThrow(message);
  });

  it('says how to start what is not there', async () => {
    // The near end of a connection: nobody listens on its port, and nobody else can meanwhile.
    const held = connect(upstream.port, '127.0.0.1');
    await once(held, 'connect');
    const options = { router: `http://127.0.0.1:${held.localPort ?? 0}`, model: undefined };
    const asked = streamChat(question, options, () => undefined);
    await expect(asked).rejects.toThrow(/ECONNREFUSED.*sanctumctl up/);
    held.destroy();
  });
});

describe('readEvents', () => {
  async function* bytes(...pieces: readonly string[]): AsyncGenerator<Uint8Array> {
    for (const piece of pieces) {
      yield await Promise.resolve(Buffer.from(piece));
    }
  }

  it('refuses an event without end', async () => {
    const events = readEvents(bytes('data: ', 'x'.repeat(2_000_000)));
    await expect(events.next()).rejects.toThrow('one million characters');
  });

  it('ends at [DONE]', async () => {
    const events = readEvents(bytes('data: 1\n\ndata: [DO', 'NE]\n\ndata: 2\n\n'));
    expect((await events.next()).value).toBe('1');
    expect((await events.next()).done).toBe(true);
  });
});

describe('Conversation', () => {
  async function sent(ask: () => Promise<unknown>): Promise<{ messages: unknown[] }> {
    const request = upstream.nextRequest();
    await ask();
    return JSON.parse((await request).body.toString('utf8')) as { messages: unknown[] };
  }

  it('sends the system prompt and what was said before', async () => {
    const conversation = new Conversation({ router: router('well'), model: 'm' }, 'Be brief.');
    await conversation.ask('One?', () => undefined);
    expect(await sent(() => conversation.ask('Two?', () => undefined))).toMatchObject({
      model: 'm',
      stream: true,
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'One?' },
        { role: 'assistant', content: '2 + 2 equals 4.' },
        { role: 'user', content: 'Two?' },
      ],
    });
  });

  it('forgets what is too long ago', async () => {
    const conversation = new Conversation({ router: router('well'), model: undefined });
    for (let exchange = 0; exchange <= EXCHANGES_MAX; exchange += 1) {
      await conversation.ask(`Question ${exchange}`, () => undefined);
    }
    const { messages } = await sent(() => conversation.ask('Last', () => undefined));
    expect(messages).toHaveLength(2 * EXCHANGES_MAX + 1);
    expect(messages[0]).toEqual({ role: 'user', content: 'Question 1' });
  });
});
