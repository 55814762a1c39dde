// The shape of Qwen3.5-0.8B, from which both the MLX and the GGUF file are made.
export const SHAPE = {
  hidden: 1024,
  layers: 24,
  ffn: 3584,
  vocab: 248_320,
  heads: 8,
  kvHeads: 2,
  headDim: 256,
  linearKeyHeads: 16,
  linearValueHeads: 16,
  linearHeadDim: 128,
  convKernel: 4,
  fullAttentionInterval: 4,
  ropeTheta: 1e7,
  partialRotary: 0.25,
  contextLength: 32_768,
};

const keyDim = SHAPE.linearKeyHeads * SHAPE.linearHeadDim;
const valueDim = SHAPE.linearValueHeads * SHAPE.linearHeadDim;
export const CONV_DIM = 2 * keyDim + valueDim;
export const VALUE_DIM = valueDim;

export function isFullAttention(layer) {
  return (layer + 1) % SHAPE.fullAttentionInterval === 0;
}

/** A deterministic stream of 32-bit words (xorshift), quick enough for hundreds of megabytes. */
export function randomWords(count, seed) {
  const words = new Uint32Array(count);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < count; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state >>> 0;
  }
  return words;
}

/** Token ids of a prompt without meaning. */
export function promptTokens(length) {
  return Int32Array.from({ length }, (_, i) => (i * 7919) % 200_000);
}
