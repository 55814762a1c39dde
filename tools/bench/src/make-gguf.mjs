// Writes the same shape as GGUF Q4_0 for llama.cpp (format: ggml's docs/gguf.md, version 3).
import { closeSync, existsSync, openSync, renameSync, writeSync } from 'node:fs';
import { CONV_DIM, isFullAttention, randomWords, SHAPE, VALUE_DIM } from './shape.mjs';

const TYPE = { u32: 4, f32: 6, bool: 7, string: 8, array: 9, i32: 5 };
const Q4_0 = 2;
const F32 = 0;
const ALIGNMENT = 32;

/** Makes `file` unless it is there, and returns it. */
export function ensureGguf(file) {
  if (existsSync(file)) return file;
  const list = tensors();
  const fd = openSync(`${file}.partial`, 'w');
  let at = 0;
  const put = (bytes) => (at += writeSync(fd, bytes));
  const pad = () => put(Buffer.alloc((ALIGNMENT - (at % ALIGNMENT)) % ALIGNMENT));
  put(Buffer.concat([Buffer.from('GGUF'), u32(3), u64(list.length), u64(metadata().length)]));
  for (const [key, bytes] of metadata()) put(Buffer.concat([text(key), bytes]));
  let offset = 0;
  for (const tensor of list) {
    const dims = [...tensor.shape].reverse();
    put(
      Buffer.concat([
        text(tensor.name),
        u32(dims.length),
        ...dims.map(u64),
        u32(tensor.type),
        u64(offset),
      ]),
    );
    offset += Math.ceil(tensor.size / ALIGNMENT) * ALIGNMENT;
  }
  pad();
  for (const tensor of list) {
    put(tensor.make());
    pad();
  }
  closeSync(fd);
  renameSync(`${file}.partial`, file);
  return file;
}

function metadata() {
  const s = SHAPE;
  const arch = (key, bytes) => [`qwen35.${key}`, bytes];
  const symbols = byteSymbols();
  const filler = Array.from({ length: s.vocab - symbols.length - 2 }, (_, i) => `tok${i}`);
  const tokens = [...symbols, ...filler, '<|endoftext|>', '<|im_end|>'];
  const types = tokens.map((_, i) => (i < s.vocab - 2 ? 1 : 3));
  return [
    ['general.architecture', string('qwen35')],
    ['general.name', string('random weights')],
    arch('block_count', number(s.layers)),
    arch('context_length', number(s.contextLength)),
    arch('embedding_length', number(s.hidden)),
    arch('feed_forward_length', number(s.ffn)),
    arch('attention.head_count', number(s.heads)),
    arch('attention.head_count_kv', number(s.kvHeads)),
    arch('attention.key_length', number(s.headDim)),
    arch('attention.value_length', number(s.headDim)),
    arch('attention.layer_norm_rms_epsilon', float(1e-6)),
    arch('rope.freq_base', float(s.ropeTheta)),
    arch('rope.dimension_count', number(s.headDim * s.partialRotary)),
    arch('rope.dimension_sections', array(TYPE.i32, [11, 11, 10, 0].map(i32))),
    arch('ssm.conv_kernel', number(s.convKernel)),
    arch('ssm.state_size', number(s.linearHeadDim)),
    arch('ssm.group_count', number(s.linearKeyHeads)),
    arch('ssm.time_step_rank', number(s.linearValueHeads)),
    arch('ssm.inner_size', number(VALUE_DIM)),
    arch('full_attention_interval', number(s.fullAttentionInterval)),
    arch('vocab_size', number(s.vocab)),
    ['tokenizer.ggml.model', string('gpt2')],
    ['tokenizer.ggml.pre', string('qwen2')],
    ['tokenizer.ggml.tokens', array(TYPE.string, tokens.map(text))],
    ['tokenizer.ggml.token_type', array(TYPE.i32, types.map(i32))],
    ['tokenizer.ggml.merges', array(TYPE.string, ['t o', 'to k'].map(text))],
    ['tokenizer.ggml.eos_token_id', number(s.vocab - 1)],
    ['tokenizer.ggml.bos_token_id', number(s.vocab - 2)],
    ['tokenizer.ggml.add_bos_token', Buffer.concat([u32(TYPE.bool), Buffer.from([0])])],
  ];
}

function tensors() {
  const s = SHAPE;
  const list = [
    quantized('token_embd.weight', s.vocab, s.hidden),
    filled('output_norm.weight', [s.hidden], 1),
  ];
  for (let i = 0; i < s.layers; i += 1) {
    const b = `blk.${i}`;
    list.push(filled(`${b}.attn_norm.weight`, [s.hidden], 1));
    list.push(filled(`${b}.post_attention_norm.weight`, [s.hidden], 1));
    list.push(...(isFullAttention(i) ? fullAttention(b) : linearAttention(b)));
    list.push(quantized(`${b}.ffn_gate.weight`, s.ffn, s.hidden));
    list.push(quantized(`${b}.ffn_up.weight`, s.ffn, s.hidden));
    list.push(quantized(`${b}.ffn_down.weight`, s.hidden, s.ffn));
  }
  return list;
}

function fullAttention(b) {
  const s = SHAPE;
  return [
    quantized(`${b}.attn_q.weight`, 2 * s.heads * s.headDim, s.hidden),
    quantized(`${b}.attn_k.weight`, s.kvHeads * s.headDim, s.hidden),
    quantized(`${b}.attn_v.weight`, s.kvHeads * s.headDim, s.hidden),
    quantized(`${b}.attn_output.weight`, s.hidden, s.heads * s.headDim),
    filled(`${b}.attn_q_norm.weight`, [s.headDim], 1),
    filled(`${b}.attn_k_norm.weight`, [s.headDim], 1),
  ];
}

function linearAttention(b) {
  const s = SHAPE;
  return [
    quantized(`${b}.attn_qkv.weight`, CONV_DIM, s.hidden),
    quantized(`${b}.attn_gate.weight`, VALUE_DIM, s.hidden),
    quantized(`${b}.ssm_beta.weight`, s.linearValueHeads, s.hidden),
    quantized(`${b}.ssm_alpha.weight`, s.linearValueHeads, s.hidden),
    quantized(`${b}.ssm_out.weight`, s.hidden, VALUE_DIM),
    filled(`${b}.ssm_conv1d.weight`, [CONV_DIM, s.convKernel], 0.125),
    filled(`${b}.ssm_dt.bias`, [s.linearValueHeads], 1),
    filled(`${b}.ssm_a`, [s.linearValueHeads], -1),
    filled(`${b}.ssm_norm.weight`, [s.linearHeadDim], 1),
  ];
}

/** Q4_0: blocks of 32 weights, an f16 scale and 16 bytes of nibbles. */
function quantized(name, rows, cols) {
  const blocks = (rows * cols) / 32;
  const scale = toF16(1 / (4.6 * Math.sqrt(cols)));
  const make = () => {
    const bytes = Buffer.from(randomWords(Math.ceil((blocks * 18) / 4), rows * 31 + cols).buffer);
    for (let i = 0; i < blocks; i += 1) bytes.writeUInt16LE(scale, i * 18);
    return bytes.subarray(0, blocks * 18);
  };
  return { name, shape: [rows, cols], type: Q4_0, size: blocks * 18, make };
}

function filled(name, shape, value) {
  const count = shape.reduce((a, b) => a * b, 1);
  const make = () => Buffer.from(new Float32Array(count).fill(value).buffer);
  return { name, shape, type: F32, size: count * 4, make };
}

/** Normal numbers only, truncated: enough for a scale. */
function toF16(value) {
  const bits = new Uint32Array(new Float32Array([value]).buffer)[0];
  return (
    ((bits >>> 16) & 0x8000) | ((((bits >>> 23) & 0xff) - 112) << 10) | ((bits >>> 13) & 0x3ff)
  );
}

function byteSymbols() {
  const printable = (b) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable(b) ? b : next++));
}

function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
function i32(value) {
  return u32(value >>> 0);
}
function u64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
function text(value) {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}
function string(value) {
  return Buffer.concat([u32(TYPE.string), text(value)]);
}
function number(value) {
  return Buffer.concat([u32(TYPE.u32), u32(value)]);
}
function float(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([u32(TYPE.f32), bytes]);
}
function array(type, items) {
  return Buffer.concat([u32(TYPE.array), u32(type), u64(items.length), ...items]);
}
