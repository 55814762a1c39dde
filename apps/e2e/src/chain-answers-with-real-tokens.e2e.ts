import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import OpenAI from 'openai';
import { checkout, Instance } from './instance.js';

interface SmokePrompt {
  readonly prompt: string;
  readonly contains: string;
}

describe('one command gives real tokens through the whole chain', () => {
  let instance: Instance;
  let client: OpenAI;

  beforeAll(async () => {
    instance = await Instance.create();
    const { code, stdout, stderr } = await instance.up();
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toContain('What is 2+2?');
    client = new OpenAI({ baseURL: `${await instance.url('router')}/v1`, apiKey: 'none' });
  });

  afterAll(async () => {
    expect(await instance.destroy()).toEqual([]);
  });

  it('answers the canary by computing', async () => {
    const answer = await client.chat.completions.create({
      model: 'council-secure',
      messages: [{ role: 'user', content: 'What is 2+2? Respond with only the number.' }],
      temperature: 0,
    });
    expect(answer.choices[0]?.message.content?.trim()).toBe('4');
    expect(answer.choices[0]?.finish_reason).toBe('stop');
    expect(answer.usage?.completion_tokens).toBeGreaterThan(0);
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- clients still send and read it
    expect(answer.system_fingerprint).toContain((await instance.status()).model.digest.slice(0, 8));
  });

  it('passes the parity prompts', async () => {
    const file = path.join(checkout, 'deploy/models/parity-smoke.json');
    const { prompts } = JSON.parse(await readFile(file, 'utf8')) as { prompts: SmokePrompt[] };
    expect(prompts).toHaveLength(10);
    for (const { prompt, contains } of prompts) {
      const answer = await client.chat.completions.create({
        model: 'auto',
        messages: [{ role: 'user', content: prompt }],
        temperature: 0,
      });
      expect(answer.choices[0]?.message.content).toContain(contains);
    }
  });

  it('streams the same text it answers plainly, with one finish reason and usage', async () => {
    const request = {
      model: 'council-secure',
      messages: [{ role: 'user' as const, content: 'Count from 1 to 5.' }],
      temperature: 0,
      seed: 7,
    };
    const plain = await client.chat.completions.create(request);
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    const finishReasons: string[] = [];
    let totalTokens = 0;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      const reason = chunk.choices[0]?.finish_reason;
      if (reason) finishReasons.push(reason);
      totalTokens += chunk.usage?.total_tokens ?? 0;
    }
    expect(text).toBe(plain.choices[0]?.message.content);
    expect(finishReasons).toEqual(['stop']);
    expect(totalTokens).toBe(plain.usage?.total_tokens);
  });

  it('honours stop, seed and logprobs', async () => {
    const messages = [{ role: 'user' as const, content: 'Count from 1 to 5.' }];
    const stopped = await client.chat.completions.create({
      model: 'council-secure',
      messages,
      temperature: 0,
      stop: ['3'],
    });
    expect(stopped.choices[0]?.message.content?.trim()).toBe('1 2');
    const sample = async () => {
      const answer = await client.chat.completions.create({
        model: 'council-secure',
        messages,
        temperature: 1.5,
        // eslint-disable-next-line @typescript-eslint/no-deprecated -- clients still send and read it
        seed: 42,
        logprobs: true,
        top_logprobs: 3,
      });
      return answer.choices[0];
    };
    const [first, second] = [await sample(), await sample()];
    expect(first?.message.content).toBe(second?.message.content);
    expect(first?.logprobs?.content?.[0]?.top_logprobs).toHaveLength(3);
    expect(first?.logprobs?.content?.every((entry) => entry.logprob <= 0)).toBe(true);
  });

  it('says what produced the answer', async () => {
    const response = await fetch(`${await instance.url('router')}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'trace-me' },
      body: JSON.stringify({ messages: [{ role: 'user', content: 'Say hello.' }] }),
    });
    await response.text();
    expect(response.headers.get('x-request-id')).toBe('trace-me');
    expect(response.headers.get('x-sanctum-backend')).toBe('council-secure');
    expect(response.headers.get('x-sanctum-url-index')).toBe('0');
    expect(response.headers.get('x-sanctum-identity')).toMatch(/^spiffe:.*\/svc\/engine\/g1$/);
    expect(response.headers.get('x-sanctum-engine')).toMatch(/^libsanctum_cpu-.*-fast$/);
    expect(response.headers.get('x-sanctum-model-digest')).toBe(
      (await instance.status()).model.digest,
    );
  });
});
