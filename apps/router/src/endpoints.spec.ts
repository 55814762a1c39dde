import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { UpstreamProgram, waitUntil, type UpstreamRequest } from '@sanctum/testing';
import { startTestRouter, type TestRouter } from './router.fixture.js';

describe('endpoints besides conversations', () => {
  let upstream: UpstreamProgram;
  let router: TestRouter;

  beforeAll(async () => {
    upstream = await UpstreamProgram.start();
    const backends = {
      main: { url: upstream.url('echo'), default_model: 'main-q4' },
      sound: { url: upstream.url('echo'), models: ['whisper-1', 'tts-*', 'embed-1'] },
      dead: { url: upstream.url('stall'), models: ['dead-model'] },
    };
    router = await startTestRouter({ router: { backends, default: 'main', strict_models: true } });
  });
  afterAll(async () => {
    await router.stop();
    await upstream.kill();
  });
  beforeEach(() => {
    upstream.requests.length = 0;
  });

  const received = (): UpstreamRequest => {
    const last = upstream.requests.at(-1);
    if (last === undefined) throw new Error('The upstream received nothing.');
    return last;
  };
  const json = { 'content-type': 'application/json' };
  const send = async (path: string, init: RequestInit): Promise<string | null> => {
    const answer = await fetch(router.url + path, init);
    expect(answer.status).toBe(200);
    await answer.text();
    return answer.headers.get('x-sanctum-backend');
  };

  it.each([
    ['embeddings', '/v1/embeddings', '{"model":"embed-1","input":"x"}'],
    ['a count of tokens', '/v1/messages/count_tokens', '{"model":"embed-1","messages":[]}'],
  ])('routes %s by its model', async (_what, path, body) => {
    expect(await send(path, { method: 'POST', headers: json, body })).toBe('sound');
    expect(received().body.toString()).toBe(body);
  });

  it('routes audio by the model of its form, and touches no byte of it', async () => {
    const form = new FormData();
    form.append('file', new Blob([new Uint8Array([0, 255, 13, 10, 45, 45])]), 'a.wav');
    form.append('model', 'whisper-1');
    const request = new Request(`${router.url}/v1/audio/transcriptions`, {
      method: 'POST',
      body: form,
    });
    const bytes = Buffer.from(await request.clone().arrayBuffer());
    const headers = { 'content-type': request.headers.get('content-type') ?? '' };
    const init = { method: 'POST', headers, body: bytes };
    expect(await send('/v1/audio/transcriptions', init)).toBe('sound');
    expect(received().body.equals(bytes)).toBe(true);
    expect(received().headers['content-type']).toBe(headers['content-type']);
  });

  it('routes spoken text by the model of its JSON', async () => {
    const body = '{"model":"tts-1","input":"x"}';
    expect(await send('/v1/audio/speech', { method: 'POST', headers: json, body })).toBe('sound');
  });

  it('sends audio without a model to the default backend', async () => {
    const init = { method: 'POST', headers: { 'content-type': 'audio/wav' }, body: 'RIFF' };
    expect(await send('/v1/audio/transcriptions', init)).toBe('main');
  });

  it.each([
    ['POST', '/v1/moderations?x=1&y=%20', '{"model" : "whisper-1"}'],
    ['PUT', '/v1/files/f%C3%BC', '{"model":'],
    ['PATCH', '/v1/responses/resp_1', '[]'],
    ['DELETE', '/v1/files/abc', ''],
  ])('%s %s goes to the default backend as it is', async (method, path, body) => {
    const init = { method, headers: json, ...(body === '' ? {} : { body }) };
    expect(await send(path, init)).toBe('main');
    expect(received()).toMatchObject({ method, path });
    expect(received().body.toString()).toBe(body);
  });

  it('lists models although an upstream does not answer', async () => {
    const listed = async (): Promise<string[]> => {
      const { data } = (await (await router.get('/v1/models')).json()) as {
        data: { id: string }[];
      };
      return data.map(({ id }) => id);
    };
    expect(await listed()).toContain('dead-model');
    await waitUntil(async () => (await listed()).includes('echo-model'), {
      what: 'those that answered are listed',
    });
  });
});
