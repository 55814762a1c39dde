import type { NativeSampling, SampledToken } from '../causal-model.js';

/** A token with how far the decision was from another: where it is tiny, f32 may decide otherwise. */
export interface ReferenceSample extends SampledToken {
  readonly margin: number;
}

/**
 * The sampling pipeline in plain double precision: penalties, bias, top-k, top-p, min-p,
 * temperature, then the best token or a draw. What libraries are compared with, and what the fake
 * model samples by.
 */
export function sampleReference(raw: Float32Array, params: NativeSampling): ReferenceSample {
  const logits = applyPenalties(raw, params);
  for (const [token, bias] of params.logitBias) {
    logits[token] = (logits[token] ?? 0) + bias;
  }
  const order = ranked(logits);
  const { token, margin } =
    params.temperature === 0 ? best(logits, order) : draw(logits, order, params);
  const plain = logSoftmax([...raw]);
  const top = ranked(plain)
    .slice(0, params.topLogprobs)
    .map((at) => ({ token: at, logprob: by(plain, at) }));
  const sampled = { token, logprob: by(plain, token), margin };
  return params.topLogprobs === 0 ? sampled : { ...sampled, top };
}

/** Token ids by falling value, the lower id first on a tie. */
function ranked(values: readonly number[]): number[] {
  return values.map((_, at) => at).sort((a, b) => by(values, b) - by(values, a) || a - b);
}

function best(logits: readonly number[], [first = 0, second = 0]: readonly number[]): Decision {
  return { token: first, margin: by(logits, first) - by(logits, second) };
}

interface Decision {
  readonly token: number;
  readonly margin: number;
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

function draw(
  logits: readonly number[],
  order: readonly number[],
  params: NativeSampling,
): Decision {
  const { kept, margin } = narrow(logits, order, params);
  const isNarrowed = params.topK > 0 || params.topP < 1 || params.minP > 0;
  // Without narrowing libraries need no order by likelihood: they draw in the order of ids.
  const tokens = isNarrowed ? kept : logits.map((_, token) => token);
  const weights = softmaxOver(logits, tokens, params.temperature);
  const at = uniform(params.seed, params.counter);
  let end = 0;
  let nearest = margin;
  let drawn: number | undefined;
  for (const [rank, token] of tokens.entries()) {
    end += by(weights, rank);
    nearest = Math.min(nearest, Math.abs(at - end));
    if (drawn === undefined && at < end) drawn = token;
  }
  return { token: drawn ?? tokens.at(-1) ?? 0, margin: nearest };
}

/** The tokens that top-k, top-p and min-p leave, and how close the nearest was to staying or going. */
function narrow(
  logits: readonly number[],
  order: readonly number[],
  params: NativeSampling,
): { kept: number[]; margin: number } {
  const first = params.topK === 0 ? order : order.slice(0, params.topK);
  const probabilities = softmaxOver(logits, first);
  const floor = params.minP * by(probabilities, 0);
  let margin = Number.POSITIVE_INFINITY;
  let sum = 0;
  const kept = first.filter((_, rank) => {
    const probability = by(probabilities, rank);
    const isKept = rank === 0 || (sum < params.topP && probability >= floor);
    if (rank > 0 && params.topP < 1) margin = Math.min(margin, Math.abs(sum - params.topP));
    if (rank > 0 && params.minP > 0) margin = Math.min(margin, Math.abs(probability - floor));
    sum += probability;
    return isKept;
  });
  return { kept, margin };
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

/** A number in [0, 1): splitmix64 from a start that the seed is mixed into, at position counter. */
function uniform(seed: bigint, counter: number): number {
  const start = mix(seed + GOLDEN);
  return Number(mix(start + BigInt(counter + 1) * GOLDEN) >> 11n) / 2 ** 53;
}

const GOLDEN = 0x9e3779b97f4a7c15n;

function mix(value: bigint): bigint {
  let z = BigInt.asUintN(64, value);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}

function by(values: readonly number[], at: number): number {
  return values[at] ?? Number.NEGATIVE_INFINITY;
}
