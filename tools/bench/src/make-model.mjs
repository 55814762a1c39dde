// Writes the model folder in the MLX 4-bit layout, group 64, with a made-up tokenizer.
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { CONV_DIM, isFullAttention, randomWords, SHAPE, VALUE_DIM } from './shape.mjs';

const GROUP = 64;
const PREFIX = 'language_model.model.';
const ALIGNMENT = 64;

/** Makes `folder` unless it is there, and returns it. */
export function ensureModel(folder) {
  if (existsSync(folder)) return folder;
  const partial = `${folder}.partial`;
  mkdirSync(partial, { recursive: true });
  writeWeights(path.join(partial, 'model.safetensors'), tensors());
  writeJson(partial, 'config.json', config());
  writeJson(partial, 'tokenizer.json', tokenizer());
  writeJson(partial, 'tokenizer_config.json', tokenizerConfig());
  renameSync(partial, folder);
  return folder;
}

function tensors() {
  const s = SHAPE;
  const list = [...quantized('embed_tokens', s.vocab, s.hidden), norm('norm', s.hidden)];
  for (let i = 0; i < s.layers; i += 1) {
    const layer = `layers.${i}`;
    list.push(norm(`${layer}.input_layernorm`, s.hidden));
    list.push(norm(`${layer}.post_attention_layernorm`, s.hidden));
    list.push(...(isFullAttention(i) ? fullAttention(layer) : linearAttention(layer)));
    list.push(...quantized(`${layer}.mlp.gate_proj`, s.ffn, s.hidden));
    list.push(...quantized(`${layer}.mlp.up_proj`, s.ffn, s.hidden));
    list.push(...quantized(`${layer}.mlp.down_proj`, s.hidden, s.ffn));
  }
  return list;
}

function fullAttention(layer) {
  const s = SHAPE;
  const at = `${layer}.self_attn`;
  return [
    ...quantized(`${at}.q_proj`, 2 * s.heads * s.headDim, s.hidden),
    ...quantized(`${at}.k_proj`, s.kvHeads * s.headDim, s.hidden),
    ...quantized(`${at}.v_proj`, s.kvHeads * s.headDim, s.hidden),
    ...quantized(`${at}.o_proj`, s.hidden, s.heads * s.headDim),
    norm(`${at}.q_norm`, s.headDim),
    norm(`${at}.k_norm`, s.headDim),
  ];
}

function linearAttention(layer) {
  const s = SHAPE;
  const at = `${layer}.linear_attn`;
  return [
    ...quantized(`${at}.in_proj_qkv`, CONV_DIM, s.hidden),
    ...quantized(`${at}.in_proj_z`, VALUE_DIM, s.hidden),
    ...quantized(`${at}.in_proj_b`, s.linearValueHeads, s.hidden),
    ...quantized(`${at}.in_proj_a`, s.linearValueHeads, s.hidden),
    ...quantized(`${at}.out_proj`, s.hidden, VALUE_DIM),
    bf16(`${at}.conv1d.weight`, [CONV_DIM, s.convKernel, 1], 0x3e00),
    bf16(`${at}.dt_bias`, [s.linearValueHeads], 0x3f80),
    {
      name: `${at}.A_log`,
      dtype: 'F32',
      shape: [s.linearValueHeads],
      bytes: filledF32(s.linearValueHeads, 0),
    },
    norm(`${at}.norm`, s.linearHeadDim),
  ];
}

/** Words of eight nibbles; scale and bias put the weights around zero with deviation cols^-1/2. */
function quantized(name, rows, cols) {
  const scale = toBf16(1 / (4.6 * Math.sqrt(cols)));
  const bias = toBf16(-7.5 / (4.6 * Math.sqrt(cols)));
  const words = randomWords((rows * cols) / 8, rows * 31 + cols);
  return [
    {
      name: `${name}.weight`,
      dtype: 'U32',
      shape: [rows, cols / 8],
      bytes: Buffer.from(words.buffer),
    },
    bf16(`${name}.scales`, [rows, cols / GROUP], scale),
    bf16(`${name}.biases`, [rows, cols / GROUP], bias),
  ];
}

function norm(name, size) {
  return bf16(`${name}.weight`, [size], 0x3f80);
}

function bf16(name, shape, value) {
  const count = shape.reduce((a, b) => a * b, 1);
  return {
    name,
    dtype: 'BF16',
    shape,
    bytes: Buffer.from(new Uint16Array(count).fill(value).buffer),
  };
}

function filledF32(count, value) {
  return Buffer.from(new Float32Array(count).fill(value).buffer);
}

function toBf16(value) {
  return new Uint32Array(new Float32Array([value]).buffer)[0] >>> 16;
}

/** The format allows no holes, so tensors that would spoil the alignment of others come last. */
function writeWeights(file, unordered) {
  const even = (tensor) => tensor.bytes.length % ALIGNMENT === 0;
  const list = [...unordered.filter(even), ...unordered.filter((tensor) => !even(tensor))];
  const header = {};
  let end = 0;
  for (const tensor of list) {
    const start = end;
    end = start + tensor.bytes.length;
    header[PREFIX + tensor.name] = {
      dtype: tensor.dtype,
      shape: tensor.shape,
      data_offsets: [start, end],
    };
    tensor.start = start;
  }
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.alloc(Math.ceil((text.length + 8) / ALIGNMENT) * ALIGNMENT - 8, 0x20);
  text.copy(padded);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(padded.length));
  const fd = openSync(file, 'w');
  writeSync(fd, size);
  writeSync(fd, padded);
  for (const { bytes, start } of list)
    writeSync(fd, bytes, 0, bytes.length, 8 + padded.length + start);
  closeSync(fd);
}

function config() {
  const s = SHAPE;
  return {
    architectures: ['Qwen3_5ForCausalLM'],
    model_type: 'qwen3_5',
    hidden_size: s.hidden,
    intermediate_size: s.ffn,
    num_hidden_layers: s.layers,
    num_attention_heads: s.heads,
    num_key_value_heads: s.kvHeads,
    head_dim: s.headDim,
    linear_num_key_heads: s.linearKeyHeads,
    linear_num_value_heads: s.linearValueHeads,
    linear_key_head_dim: s.linearHeadDim,
    linear_value_head_dim: s.linearHeadDim,
    linear_conv_kernel_dim: s.convKernel,
    full_attention_interval: s.fullAttentionInterval,
    max_position_embeddings: s.contextLength,
    rms_norm_eps: 1e-6,
    rope_parameters: {
      rope_theta: s.ropeTheta,
      partial_rotary_factor: s.partialRotary,
      type: 'default',
    },
    tie_word_embeddings: true,
    vocab_size: s.vocab,
    eos_token_id: s.vocab - 1,
    quantization: { group_size: GROUP, bits: 4 },
  };
}

/** Byte-level BPE without merges: 256 byte symbols, then filler words nobody writes. */
function tokenizer() {
  const vocab = {};
  for (const symbol of byteSymbols()) vocab[symbol] = Object.keys(vocab).length;
  for (let i = 256; i < SHAPE.vocab - 3; i += 1) vocab[`tok${i}`] = i;
  const special = (content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  const specials = ['<|im_start|>', '<|endoftext|>', '<|im_end|>'];
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specials.map((name, i) => special(name, SHAPE.vocab - 3 + i)),
    normalizer: null,
    pre_tokenizer: {
      type: 'ByteLevel',
      add_prefix_space: false,
      trim_offsets: false,
      use_regex: false,
    },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
    model: { type: 'BPE', dropout: null, unk_token: null, vocab, merges: [] },
  };
}

function byteSymbols() {
  const printable = (b) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable(b) ? b : next++));
}

function tokenizerConfig() {
  return {
    eos_token: '<|im_end|>',
    chat_template:
      '{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n',
  };
}

function writeJson(folder, name, value) {
  writeFileSync(path.join(folder, name), JSON.stringify(value));
}
