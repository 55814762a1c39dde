import type { Program, Register } from '@sanctum/kernels';
import type { Architecture } from './architecture.js';
import type { ModelWeights } from './model-weights.js';
import { parseQwen35Config, type Qwen35Config } from './qwen3-5-config.js';

/** Added to the sum of squares when queries and keys of the delta rule are normalised. */
const DELTA_NORM_EPSILON = 1e-6;

/**
 * Qwen3.5, dense and text only: of every four layers three carry a gated delta rule (arXiv
 * 2412.06464) and one gated full attention; each is followed by a gated MLP.
 */
export const QWEN3_5: Architecture = {
  parse(config) {
    const parsed = parseQwen35Config(config);
    return {
      vocabSize: parsed.vocabSize,
      contextLength: parsed.contextLength,
      ...cacheSizes(parsed),
      record: (program, weights) => record({ config: parsed, program, weights }),
    };
  },
};

function cacheSizes(config: Qwen35Config) {
  const { keyValueHeads, headSize } = config.attention;
  const { keyHeads, valueHeads, keySize, valueSize, kernel } = config.gatedDelta;
  const full = config.layerTypes.filter((type) => type === 'full_attention').length;
  const state = valueHeads * keySize * valueSize;
  const tail = (kernel - 1) * (2 * keyHeads * keySize + valueHeads * valueSize);
  return {
    keyValueElementsPerToken: full * 2 * keyValueHeads * headSize,
    stateElements: (config.layerTypes.length - full) * (state + tail),
  };
}

interface Recording {
  readonly config: Qwen35Config;
  readonly program: Program;
  readonly weights: ModelWeights;
}

interface Layer {
  /** Where the layer's tensors lie, such as `layers.3`. */
  readonly path: string;
  /** [hidden] normalised input. */
  readonly src: Register;
  /** [hidden] what the layer adds to the residual stream. */
  readonly dst: Register;
}

function record(recording: Recording): void {
  const { config, program, weights } = recording;
  const { hiddenSize, vocabSize, normEpsilon: eps } = config;
  const residual = program.buffer(hiddenSize);
  const normed = program.buffer(hiddenSize);
  const delta = program.buffer(hiddenSize);
  const norm = (module: string) => ({ weight: weights.norm(module, hiddenSize), eps, dst: normed });
  const linearAttention = gatedDeltaNet(recording);
  const fullAttention = gatedAttention(recording);
  const mlp = gatedMlp(recording);

  const table = { rows: vocabSize, columns: hiddenSize };
  const embedding = weights.matrix('embed_tokens', table);
  program.embed(embedding, residual);
  config.layerTypes.forEach((type, index) => {
    const path = `layers.${index}`;
    const input = norm(`${path}.input_layernorm`);
    if (index === 0) program.rmsNorm(residual, input);
    else program.addRmsNorm({ residual, delta, ...input });
    const mix = type === 'linear_attention' ? linearAttention : fullAttention;
    mix({ path, src: normed, dst: delta });
    program.addRmsNorm({ residual, delta, ...norm(`${path}.post_attention_layernorm`) });
    mlp({ path, src: normed, dst: delta });
  });
  program.addRmsNorm({ residual, delta, ...norm('norm') });
  program.logits(config.tied ? embedding : weights.matrix('lm_head', table), normed);
}

/** S ← g·S + β·(v − g·S·k)·kᵀ per value head, read out by q, normalised and gated by z. */
function gatedDeltaNet({ config, program, weights }: Recording): (layer: Layer) => void {
  const { hiddenSize, normEpsilon: eps } = config;
  const { keyHeads, valueHeads, keySize, valueSize, kernel } = config.gatedDelta;
  const valueDim = valueHeads * valueSize;
  const mixedDim = 2 * keyHeads * keySize + valueDim;
  const projected = program.buffer(mixedDim);
  const mixed = program.buffer(mixedDim);
  const z = program.buffer(valueDim);
  const a = program.buffer(valueHeads);
  const b = program.buffer(valueHeads);
  const read = program.buffer(valueDim);
  const gated = program.buffer(valueDim);

  return ({ path, src, dst }) => {
    const prefix = `${path}.linear_attn`;
    const project = (name: string, to: Register): void =>
      program.linear(weights.matrix(`${prefix}.${name}`, { rows: to.dim, columns: hiddenSize }), {
        src,
        dst: to,
      });
    project('in_proj_qkv', projected);
    project('in_proj_z', z);
    project('in_proj_b', b);
    project('in_proj_a', a);
    const convolution = weights.convolution(`${prefix}.conv1d`, {
      rows: mixedDim,
      columns: kernel,
    });
    program.conv1dSilu({ src: projected, weight: convolution, taps: kernel, dst: mixed });
    program.gatedDelta({
      mixed,
      a,
      b,
      dst: read,
      aLog: weights.vector(`${prefix}.A_log`, valueHeads),
      dtBias: weights.vector(`${prefix}.dt_bias`, valueHeads),
      keyHeads,
      valueHeads,
      keyDim: keySize,
      valueDim: valueSize,
      normEps: DELTA_NORM_EPSILON,
    });
    // The one norm that is stored as used in either layout.
    const weight = weights.vector(`${prefix}.norm.weight`, valueSize);
    program.rmsNormGated({ src: read, gate: z, weight, eps, dst: gated });
    const out = weights.matrix(`${prefix}.out_proj`, { rows: hiddenSize, columns: valueDim });
    program.linear(out, { src: gated, dst });
  };
}

/** softmax(q·kᵀ/√d)·v over normalised, partly rotated heads, times sigmoid of the queries' gate. */
function gatedAttention({ config, program, weights }: Recording): (layer: Layer) => void {
  const { hiddenSize, normEpsilon } = config;
  const { heads, keyValueHeads, headSize, rotarySize, ropeTheta } = config.attention;
  const q = program.buffer(2 * heads * headSize);
  const k = program.buffer(keyValueHeads * headSize);
  const v = program.buffer(keyValueHeads * headSize);
  const attended = program.buffer(heads * headSize);

  return ({ path, src, dst }) => {
    const prefix = `${path}.self_attn`;
    const project = (name: string, to: Register): void =>
      program.linear(weights.matrix(`${prefix}.${name}`, { rows: to.dim, columns: hiddenSize }), {
        src,
        dst: to,
      });
    project('q_proj', q);
    project('k_proj', k);
    project('v_proj', v);
    program.attention({
      q,
      k,
      v,
      dst: attended,
      qNorm: weights.norm(`${prefix}.q_norm`, headSize),
      kNorm: weights.norm(`${prefix}.k_norm`, headSize),
      heads,
      kvHeads: keyValueHeads,
      headDim: headSize,
      ropeDims: rotarySize,
      ropeTheta,
      gated: true,
      normEps: normEpsilon,
      scale: headSize ** -0.5,
    });
    const out = weights.matrix(`${prefix}.o_proj`, { rows: hiddenSize, columns: attended.dim });
    program.linear(out, { src: attended, dst });
  };
}

/** down(silu(gate(x)) · up(x)). */
function gatedMlp({ config, program, weights }: Recording): (layer: Layer) => void {
  const { hiddenSize, intermediateSize } = config;
  const gate = program.buffer(intermediateSize);
  const up = program.buffer(intermediateSize);
  const product = program.buffer(intermediateSize);
  const wide = { rows: intermediateSize, columns: hiddenSize };
  const narrow = { rows: hiddenSize, columns: intermediateSize };

  return ({ path, src, dst }) => {
    program.linear(weights.matrix(`${path}.mlp.gate_proj`, wide), { src, dst: gate });
    program.linear(weights.matrix(`${path}.mlp.up_proj`, wide), { src, dst: up });
    program.siluMul({ gate, up, dst: product });
    program.linear(weights.matrix(`${path}.mlp.down_proj`, narrow), { src: product, dst });
  };
}
