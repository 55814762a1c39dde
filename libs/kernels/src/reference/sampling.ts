import type { SamplingParams } from '../sampling.js';

export interface Candidate {
  readonly token: number;
  /** Share of [0, 1) that draws this token. */
  readonly from: number;
  readonly to: number;
}

const MASK = (1n << 64n) - 1n;
const GOLDEN = 0x9e3779b97f4a7c15n;

function mix(value: bigint): bigint {
  let z = value & MASK;
  z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
  z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK;
  return z ^ (z >> 31n);
}

/** The library's uniform number of (seed, counter). */
export function uniform(seed: bigint, counter: bigint): number {
  const bits = mix(mix(seed + GOLDEN) + (counter + 1n) * GOLDEN);
  return Number(bits >> 11n) * 2 ** -53;
}

function penalised(logits: readonly number[], params: SamplingParams): number[] {
  const history = [...(params.history ?? [])];
  const generated = history.slice(params.promptCount ?? 0);
  const repetition = params.repetitionPenalty ?? 1;
  return logits.map((logit, token) => {
    if (!history.includes(token)) return logit;
    const scaled = logit > 0 ? logit / repetition : logit * repetition;
    const count = generated.filter((entry) => entry === token).length;
    if (count === 0) return scaled;
    return scaled - (params.presencePenalty ?? 0) - (params.frequencyPenalty ?? 0) * count;
  });
}

/** What remains after penalties, top_k, top_p and min_p, as intervals of the draw. */
export function distribution(logits: readonly number[], params: SamplingParams): Candidate[] {
  const adjusted = penalised(logits, params);
  const filtered =
    (params.topK ?? 0) > 0 || (params.topP ?? 1) < 1 || (params.minP ?? 0) > 0
      ? keepLikely(adjusted, params)
      : adjusted.map((_, token) => token);
  const top = Math.max(...adjusted);
  const weights = filtered.map((token) =>
    Math.exp(((adjusted[token] ?? NaN) - top) / (params.temperature ?? 1)),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let at = 0;
  return filtered.map((token, index) => {
    const from = at;
    at += (weights[index] ?? NaN) / total;
    return { token, from, to: at };
  });
}

function keepLikely(logits: readonly number[], params: SamplingParams): number[] {
  const { topP = 1, minP = 0 } = params;
  const order = logits
    .map((logit, token) => ({ logit, token }))
    .sort((a, b) => b.logit - a.logit || a.token - b.token)
    .slice(0, params.topK ? params.topK : undefined);
  const top = order[0]?.logit ?? NaN;
  const weights = order.map(({ logit }) => Math.exp(logit - top));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const kept: number[] = [];
  let cumulative = 0;
  for (const [index, { token }] of order.entries()) {
    const weight = weights[index] ?? NaN;
    if (index > 0 && weight < minP) break;
    kept.push(token);
    cumulative += weight;
    if (topP < 1 && cumulative >= topP * total) break;
  }
  return kept;
}
