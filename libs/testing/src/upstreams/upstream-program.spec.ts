import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { UpstreamProgram } from './upstream-program.js';

describe('UpstreamProgram', () => {
  let upstream: UpstreamProgram;
  beforeAll(async () => {
    upstream = await UpstreamProgram.start();
  });
  afterAll(() => upstream.kill());

  const post = (behaviour: string, body: unknown, init: RequestInit = {}) =>
    fetch(`${upstream.url(behaviour)}/chat/completions`, {
      method: 'POST',
      body: JSON.stringify(body),
      ...init,
    });

  it('answers as a completion or a stream and tells what it received', async () => {
    const plain = await post('well', { model: 'm', messages: [] });
    expect(await plain.json()).toMatchObject({ model: 'm', usage: { total_tokens: 20 } });
    expect(upstream.requests.at(-1)).toMatchObject({
      behaviour: 'well',
      method: 'POST',
      path: '/v1/chat/completions',
    });
    expect(upstream.requests.at(-1)?.body.toString()).toBe('{"model":"m","messages":[]}');
    const streamed = await (await post('well', { stream: true })).text();
    expect(streamed).toMatch(/^: comment\n\n.*\[DONE\]\n\n$/s);
  });

  it('answers any status', async () => {
    const answer = await post('status-429', {});
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '7']);
  });

  it('breaks a stream midway', async () => {
    await expect(post('die-midway', {}).then((answer) => answer.text())).rejects.toThrow();
  });

  it('waits at a gate, and tells when the client leaves', async () => {
    const leave = new AbortController();
    const request = upstream.nextRequest();
    const answer = post('gated-json', {}, { signal: leave.signal });
    const { id } = await request;
    leave.abort();
    await expect(answer).rejects.toThrow();
    expect(await upstream.closed(id)).toBe(false);
  });

  it('says that it cannot listen', async () => {
    await expect(UpstreamProgram.start({ port: upstream.port })).rejects.toThrow(
      'the upstream ended with 1 before it listened',
    );
  });
});
