import { describe, expect, it } from '@jest/globals';
import { parseChatCompletionRequest, parseCompletionRequest } from '@sanctum/contracts';
import { parseSampling } from './parse-sampling.js';

const chat = (fields: object): ReturnType<typeof parseSampling> =>
  parseSampling(
    parseChatCompletionRequest({ messages: [{ role: 'user', content: 'x' }], ...fields }),
  );

describe('parseSampling', () => {
  it('narrows nothing by itself', () => {
    expect(chat({})).toEqual({
      sampling: {
        temperature: 1,
        topK: 0,
        topP: 1,
        minP: 0,
        repetitionPenalty: 1,
        presencePenalty: 0,
        frequencyPenalty: 0,
        logitBias: new Map(),
      },
      stop: [],
      ignoreEos: false,
    });
  });

  it('reads every field', () => {
    const fields = {
      temperature: 0,
      top_k: 5,
      top_p: 0.5,
      min_p: 0.1,
      repetition_penalty: 1.1,
      presence_penalty: 1,
      frequency_penalty: -1,
      logit_bias: { '7': -100 },
      seed: -1,
      max_tokens: 3,
      stop: 'x',
      ignore_eos: true,
      logprobs: true,
      top_logprobs: 4,
    };
    expect(chat(fields)).toEqual({
      sampling: {
        temperature: 0,
        topK: 5,
        topP: 0.5,
        minP: 0.1,
        repetitionPenalty: 1.1,
        presencePenalty: 1,
        frequencyPenalty: -1,
        logitBias: new Map([[7, -100]]),
        seed: 2n ** 64n - 1n,
      },
      maxTokens: 3,
      stop: ['x'],
      ignoreEos: true,
      logprobs: 4,
    });
  });

  it.each([
    [{}, undefined],
    [{ logprobs: false }, undefined],
    [{ logprobs: true }, 0],
    [{ logprobs: true, top_logprobs: 20 }, 20],
  ])('reads the log-probabilities of a chat: %j', (fields, logprobs) => {
    expect(chat(fields).logprobs).toBe(logprobs);
  });

  it('reads the log-probabilities of a completion', () => {
    const completion = (logprobs?: number): number | undefined =>
      parseSampling(parseCompletionRequest({ prompt: 'x', logprobs })).logprobs;
    expect(completion()).toBeUndefined();
    expect(completion(0)).toBe(0);
    expect(completion(5)).toBe(5);
  });

  it('keeps what f32 can divide by', () => {
    const { sampling } = chat({ temperature: 1e-300, top_p: 0, repetition_penalty: 1e-300 });
    expect(sampling).toMatchObject({ temperature: 0, topP: 1e-6, repetitionPenalty: 1e-3 });
  });

  it('keeps a count within the 32 bits it is told in', () => {
    expect(chat({ top_k: 2 ** 32 + 1 }).sampling.topK).toBe(2 ** 31 - 1);
  });

  it('takes the later name of max_tokens', () => {
    expect(chat({ max_completion_tokens: 4, max_tokens: 9 }).maxTokens).toBe(4);
  });
});
