import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chat, EngineProcess, parseSse, SseReader } from './testing/engine-process.js';
import { ENDLESS, sealModel, widenContext, type SealedModel } from './testing/sealed-model.js';

interface Chunk {
  readonly choices: readonly {
    readonly delta: { readonly content?: string; readonly role?: string };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: { readonly completion_tokens: number } | null;
}

interface Answer {
  readonly choices: readonly {
    readonly message: { readonly content: string };
    readonly text: string;
    readonly finish_reason: string;
    readonly logprobs: { readonly content: readonly { readonly token: string }[] } | null;
  }[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
  readonly system_fingerprint: string;
}

let root: string;
let model: SealedModel;
let engine: EngineProcess;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'sanctum-engine-'));
  model = await sealModel(root, widenContext);
  engine = await EngineProcess.start(model.flags);
});

afterAll(async () => {
  expect(await engine.stop()).toEqual({ code: 0, signal: null });
  rmSync(root, { recursive: true });
});

async function whole(wish: Record<string, unknown>): Promise<Answer> {
  const response = await chat(engine.url, wish);
  expect(response.status).toBe(200);
  return (await response.json()) as Answer;
}

async function streamed(wish: Record<string, unknown>) {
  const response = await chat(engine.url, { ...wish, stream: true });
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  const { events, done } = parseSse(await response.text());
  return { chunks: events as unknown as Chunk[], done };
}

const textOf = (chunks: readonly Chunk[]): string =>
  chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');

describe('chat completions', () => {
  it('says the same streamed and whole, with one finish reason and one [DONE]', async () => {
    const wish = { max_tokens: 40, ignore_eos: true };
    const answer = await whole(wish);
    const { chunks, done } = await streamed(wish);
    expect(done).toBe(true);
    expect(textOf(chunks)).toBe(answer.choices[0]?.message.content);
    expect(chunks.flatMap(({ choices }) => choices[0]?.finish_reason ?? [])).toEqual(['length']);
    expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant');
    expect(chunks.filter(({ choices }) => choices[0]?.delta.role !== undefined)).toHaveLength(1);
    expect(answer.usage.completion_tokens).toBe(40);
  });

  it('reports usage once, at the end of a stream, when asked', async () => {
    const { chunks } = await streamed({ max_tokens: 5, stream_options: { include_usage: true } });
    const last = chunks.at(-1);
    expect(last?.choices).toEqual([]);
    expect(last?.usage?.completion_tokens).toBeGreaterThan(0);
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
    const without = await streamed({ max_tokens: 5 });
    expect(without.chunks.every((chunk) => !('usage' in chunk))).toBe(true);
  });

  it('reports log-probabilities that spell the answer', async () => {
    const answer = await whole({
      max_tokens: 8,
      ignore_eos: true,
      logprobs: true,
      top_logprobs: 3,
    });
    const [choice] = answer.choices;
    const content = choice?.logprobs?.content ?? [];
    expect(content).toHaveLength(8);
    expect(content.every((entry) => 'top_logprobs' in entry)).toBe(true);
    const bytes = content.flatMap((entry) => (entry as unknown as { bytes: number[] }).bytes);
    expect(Buffer.from(bytes).toString()).toBe(choice?.message.content);
  });

  it('ends before a stop sequence and draws the same with the same seed', async () => {
    const full = await whole({ max_tokens: 30, ignore_eos: true });
    const content = full.choices[0]?.message.content ?? '';
    const stop = content.slice(3, 6);
    const cut = await whole({ max_tokens: 30, ignore_eos: true, stop: [stop] });
    expect(cut.choices[0]?.message.content).toBe(content.slice(0, content.indexOf(stop)));
    expect(cut.choices[0]?.finish_reason).toBe('stop');
    const drawn = { temperature: 1.5, seed: 7, max_tokens: 20, ignore_eos: true };
    const [one, two] = [await whole(drawn), await whole(drawn)];
    expect(one.choices[0]?.message.content).toBe(two.choices[0]?.message.content);
  });

  it('says with every answer what produced it', async () => {
    const digest = createHash('sha256').update(readFileSync(model.manifest)).digest('hex');
    for (const stream of [false, true]) {
      const response = await chat(engine.url, { stream, max_tokens: 2 }, {});
      expect(response.headers.get('x-sanctum-model-digest')).toBe(digest);
      expect(response.headers.get('x-sanctum-adapter')).toBe('none');
      expect(response.headers.get('x-sanctum-engine')).toMatch(/^libsanctum_cpu-/);
      expect(response.headers.get('x-sanctum-identity')).toBe(
        'spiffe://sanctum.local/svc/engine/g1',
      );
      expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
      expect(await response.text()).toContain(`"system_fingerprint":"${digest.slice(0, 16)}+none+`);
    }
  });

  it('keeps the request id of its caller', async () => {
    const response = await chat(
      engine.url,
      { max_tokens: 1 },
      {
        headers: { 'content-type': 'application/json', 'x-request-id': 'call-7' },
      },
    );
    expect(response.headers.get('x-request-id')).toBe('call-7');
    await response.text();
  });

  it('flushes the first tokens long before the last', async () => {
    const headers = { 'content-type': 'application/json', 'x-request-id': 'long' };
    const reader = new SseReader(await chat(engine.url, ENDLESS, { headers }));
    await reader.events(2);
    expect(reader.text).not.toContain('[DONE]');
    await reader.cancel();
    expect(await engine.line('answered', 'long')).toMatchObject({ stopReason: 'cancelled' });
  });
});

describe('completions', () => {
  it('continues text and token ids alike', async () => {
    const ask = async (prompt: unknown): Promise<Answer> => {
      const response = await fetch(`${engine.url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ prompt, temperature: 0, max_tokens: 6, logprobs: 1 }),
      });
      expect(response.status).toBe(200);
      return (await response.json()) as Answer;
    };
    const [text] = (await ask('Sanctum')).choices;
    expect(text?.finish_reason).toMatch(/^(?:length|stop)$/);
    expect(typeof text?.text).toBe('string');
    expect((await ask([1, 2, 3])).usage.prompt_tokens).toBe(3);
  });

  it('counts half characters once they are whole, or can never be', async () => {
    const vocabulary = readFileSync(join(model.dir, 'tokenizer.json'), 'utf8');
    const { vocab } = (JSON.parse(vocabulary) as { model: { vocab: Record<string, number> } })
      .model;
    // The symbol of the byte 0xe4, with which a character of three bytes begins.
    const half = vocab['\u00e4'];
    const response = await fetch(`${engine.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        ...{ prompt: 'Sanctum', temperature: 0, max_tokens: 3, logprobs: 1 },
        logit_bias: { [String(half)]: 100 },
      }),
    });
    const [choice] = ((await response.json()) as Answer).choices;
    expect(choice).toMatchObject({
      text: '\ufffd'.repeat(3),
      logprobs: { tokens: Array(3).fill(String.raw`bytes:\xe4`), text_offset: [0, 0, 1] },
    });
  });
});

describe('what needs no model step', () => {
  it('lists the model', async () => {
    const list = await (await fetch(`${engine.url}/v1/models`)).json();
    expect(list).toMatchObject({ object: 'list', data: [{ id: 'padawan', object: 'model' }] });
    expect((await fetch(`${engine.url}/v1/models/padawan`)).status).toBe(200);
    expect((await fetch(`${engine.url}/v1/models/other`)).status).toBe(404);
  });

  it('is live and ready, and says which model', async () => {
    expect((await fetch(`${engine.url}/health/live`)).status).toBe(200);
    const ready = await fetch(`${engine.url}/health/ready`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toMatchObject({ model: { id: 'padawan' }, worker: { restarts: 0 } });
  });

  it('counts streamed and whole answers under the names operators know', async () => {
    const wish = { max_tokens: 2, ignore_eos: true };
    await whole(wish);
    await streamed(wish);
    const text = await (await fetch(`${engine.url}/metrics`)).text();
    for (const stream of ['true', 'false']) {
      expect(text).toMatch(
        new RegExp(
          `sanctum_mlx_inference_requests_total\\{stop_reason="length",stream="${stream}"\\} [1-9]`,
        ),
      );
    }
    expect(text).toMatch(/sanctum_mlx_inference_completion_tokens_total [1-9]/);
    expect(text).toMatch(/sanctum_mlx_startup_seconds\{phase="verify"\}/);
  });

  it('refuses what later issues bring, by name', async () => {
    for (const [path, param] of [
      ['/admin/adapters', 'adapter'],
      ['/v1/embeddings', 'input'],
    ]) {
      const response = await fetch(`${engine.url}${path ?? ''}`, { method: 'POST' });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { code: 'unsupported', param } });
    }
  });
});
