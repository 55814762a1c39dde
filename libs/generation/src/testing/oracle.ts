import type { CausalModel } from '../causal-model.js';
import type { GenerationRequest } from '../events.js';
import type { Tokenizer } from '../tokenizer.js';

export interface ExpectedAnswer {
  readonly text: string;
  readonly reason: 'stop' | 'length';
}

/**
 * An answer computed the plain way: the whole prompt at once, one sequence, no batching, text and
 * stop sequences only looked at when all tokens are there.
 */
export function answerAlone(
  { model, tokenizer }: { model: CausalModel; tokenizer: Tokenizer },
  { promptTokens, options }: GenerationRequest,
  contextTokensMax: number,
): ExpectedAnswer {
  const { sampling, seed = 0n } = { sampling: options.sampling, seed: options.sampling.seed };
  const sequence = model.createSequence();
  const room = contextTokensMax - promptTokens.length;
  const maxTokens = Math.min(options.maxTokens ?? room, room);
  const drawn: number[] = [];
  let next = promptTokens;
  let ended = false;
  while (drawn.length < maxTokens && !ended) {
    model.step([{ sequence, tokens: next, logits: 'last' }]);
    const { token } = model.sample(0, {
      ...sampling,
      history: Int32Array.from([...promptTokens, ...drawn]),
      promptCount: promptTokens.length,
      seed,
      counter: drawn.length,
      topLogprobs: 0,
    });
    ended = model.info.eosTokenIds.includes(token) && !options.ignoreEos;
    if (!ended) drawn.push(token);
    next = Int32Array.of(token);
  }
  sequence.free();
  const text = tokenizer.decode(drawn);
  const cut = cutAtStop(text, options.stop);
  if (cut !== undefined) return { text: cut, reason: 'stop' };
  return { text, reason: ended ? 'stop' : 'length' };
}

/** The text before the stop sequence that is complete first, found character by character. */
export function cutAtStop(text: string, stop: readonly string[]): string | undefined {
  for (let end = 1; end <= text.length; end += 1) {
    const found = stop
      .filter((sequence) => text.slice(0, end).endsWith(sequence))
      .sort((a, b) => b.length - a.length)[0];
    if (found !== undefined) return text.slice(0, end - found.length);
  }
  return undefined;
}
