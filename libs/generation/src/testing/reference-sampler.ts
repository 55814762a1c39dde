import type { NativeSampling, SampledToken } from '../causal-model.js';

/**
 * The sampling pipeline in plain double precision: penalties, bias, top-k, top-p, min-p,
 * temperature, then the best token or a draw. What libraries are compared with, and what the fake
 * model samples by.
 */
export function sampleReference(raw: Float32Array, params: NativeSampling): SampledToken {
  const logits = applyPenalties(raw, params);
  for (const [token, bias] of params.logitBias) {
    logits[token] = (logits[token] ?? 0) + bias;
  }
  const plain = logSoftmax([...raw]);
  const order = logits
    .map((_, token) => token)
    .sort((a, b) => by(logits, b) - by(logits, a) || a - b);
  const token = params.temperature === 0 ? (order[0] ?? 0) : draw(logits, order, params);
  const byModel = plain.map((_, at) => at).sort((a, b) => by(plain, b) - by(plain, a) || a - b);
  return {
    token,
    logprob: by(plain, token),
    ...(params.topLogprobs === 0
      ? {}
      : {
          top: byModel
            .slice(0, params.topLogprobs)
            .map((at) => ({ token: at, logprob: by(plain, at) })),
        }),
  };
}

function applyPenalties(raw: Float32Array, params: NativeSampling): number[] {
  const logits = [...raw];
  for (const token of new Set(params.history)) {
    const value = by(logits, token);
    logits[token] = value > 0 ? value / params.repetitionPenalty : value * params.repetitionPenalty;
  }
  const counts = new Map<number, number>();
  for (const token of params.history.subarray(params.promptCount)) {
    counts.set(token, (counts.get(token) ?? 0) + 1);
  }
  for (const [token, count] of counts) {
    logits[token] = by(logits, token) - params.presencePenalty - params.frequencyPenalty * count;
  }
  return logits;
}

function draw(logits: readonly number[], order: readonly number[], params: NativeSampling): number {
  let kept = params.topK === 0 ? [...order] : order.slice(0, params.topK);
  const probabilities = softmaxOver(logits, kept);
  let sum = 0;
  kept = kept.filter((_, rank) => {
    const isKept = rank === 0 || sum < params.topP;
    sum += by(probabilities, rank);
    return isKept;
  });
  const best = by(probabilities, 0);
  kept = kept.filter((_, rank) => by(probabilities, rank) >= params.minP * best);
  const weights = softmaxOver(logits, kept, params.temperature);
  let left = uniform(params.seed, params.counter);
  for (const [rank, token] of kept.entries()) {
    left -= by(weights, rank);
    if (left < 0) return token;
  }
  return kept.at(-1) ?? 0;
}

function softmaxOver(
  logits: readonly number[],
  tokens: readonly number[],
  temperature = 1,
): number[] {
  return logSoftmax(tokens.map((token) => by(logits, token) / temperature)).map(Math.exp);
}

function logSoftmax(logits: readonly number[]): number[] {
  const max = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const sum = logits.reduce((total, value) => total + Math.exp(value - max), 0);
  return logits.map((value) => value - max - Math.log(sum));
}

/** A number in [0, 1) from seed and counter: splitmix64. */
function uniform(seed: bigint, counter: number): number {
  let z = BigInt.asUintN(64, seed + BigInt(counter + 1) * 0x9e3779b97f4a7c15n);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return Number((z ^ (z >> 31n)) >> 11n) / 2 ** 53;
}

function by(values: readonly number[], at: number): number {
  return values[at] ?? Number.NEGATIVE_INFINITY;
}
