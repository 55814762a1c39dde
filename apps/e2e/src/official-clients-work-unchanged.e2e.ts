import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import OpenAI from 'openai';
import { Instance } from './instance.js';

const QUESTION = 'What is 2+2? Respond with only the number.';
const MESSAGES = [{ role: 'user' as const, content: QUESTION }];

describe('official clients work unchanged, down to real tokens', () => {
  let instance: Instance;
  let openai: OpenAI;
  let anthropic: Anthropic;

  beforeAll(async () => {
    instance = await Instance.create();
    expect(await instance.up()).toMatchObject({ code: 0 });
    const router = await instance.url('router');
    openai = new OpenAI({ baseURL: `${router}/v1`, apiKey: 'unused' });
    anthropic = new Anthropic({ baseURL: router, apiKey: 'unused' });
  });

  afterAll(async () => {
    expect(await instance.destroy()).toEqual([]);
  });

  const asked = { model: 'padawan', max_tokens: 32, temperature: 0, messages: MESSAGES };

  it("Anthropic's messages, plain and streamed", async () => {
    const message = await anthropic.messages.create(asked);
    expect(message).toMatchObject({
      type: 'message',
      content: [{ type: 'text', text: '4' }],
      stop_reason: 'end_turn',
    });
    expect(message.usage.output_tokens).toBeGreaterThan(0);
    const streamed = await anthropic.messages.stream(asked).finalMessage();
    expect(streamed.content).toMatchObject([{ type: 'text', text: '4' }]);
    expect(streamed.usage.output_tokens).toBe(message.usage.output_tokens);
  });

  it("OpenAI's responses, plain and streamed", async () => {
    const body = { model: 'padawan', input: QUESTION, max_output_tokens: 32, temperature: 0 };
    const response = await openai.responses.create(body);
    expect([response.output_text, response.status]).toEqual(['4', 'completed']);
    const streamed = await openai.responses.stream(body).finalResponse();
    expect(streamed.output_text).toBe('4');
    expect(streamed.usage).toEqual(response.usage);
  });

  it('what the engine cannot do is refused by name in either dialect', async () => {
    const tools = [{ name: 'f', input_schema: { type: 'object' as const } }];
    await expect(anthropic.messages.create({ ...asked, tools })).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining('tools') as unknown,
    });
    await expect(
      openai.responses.create({ model: 'padawan', input: 'x', store: true }),
    ).rejects.toMatchObject({ status: 400, param: 'store' });
  });
});
