import { afterAll, describe, expect, it } from '@jest/globals';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Context, KernelLimits } from './context.js';
import type { FileMap, TensorType } from './data.js';
import { openKernels } from './kernels.js';
import { findLibrary } from './library-path.js';
import { bindNative } from './native.js';
import type { Attention, GatedDelta, Program } from './program.js';

const kernels = openKernels();
const folder = mkdtempSync(join(tmpdir(), 'sanctum-limits-'));
const contexts: Context[] = [];
const open = (limits: KernelLimits = {}): Context => {
  const context = kernels.createContext({ mode: 'exact', threads: 1, limits });
  contexts.push(context);
  return context;
};
afterAll(() => {
  contexts.forEach((context) => context.free());
  rmSync(folder, { recursive: true });
});

/** The library's own words; 'accepted' when the call was. */
function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return (error as Error).message.replace(/^[^:]*: /, '').replace(/ \(status \d+\)$/, '');
  }
  return 'accepted';
}

let files = 0;
/** Maps a sparse file of `bytes` zeros. */
function mapZeros(context: Context, bytes: number): FileMap {
  files += 1;
  const fd = openSync(join(folder, `zeros-${files}`), 'w+');
  ftruncateSync(fd, bytes);
  const map = context.mapFile({ fd, length: bytes });
  closeSync(fd);
  return map;
}

function zeros(context: Context, type: TensorType, shape: readonly number[]) {
  const bytes = shape.reduce((product, size) => product * size, 4);
  return context.tensorView({ map: mapZeros(context, bytes), offset: 0, type, shape });
}

const table = (context: Context, rows: number, cols: number) =>
  context.denseWeight(zeros(context, 'f32', [rows, cols]));
const begin = (context: Context, maxStepTokens = 1, maxPositions = 8) =>
  context.beginProgram({ maxStepTokens, maxPositions });

/** Embeds a vocabulary of eight and gives it back as logits. */
function echo(context: Context, maxStepTokens: number, maxPositions: number): Program {
  const program = begin(context, maxStepTokens, maxPositions);
  const x = program.buffer(1);
  const weight = table(context, 8, 1);
  program.embed(weight, x);
  program.logits(weight, x);
  program.end();
  return program;
}

describe('limits of contexts and tensors', () => {
  it('SK_MAX_THREADS', () => {
    expect(refusal(() => kernels.createContext({ mode: 'exact', threads: 257 }))).toBe(
      'threads is 257, must be 1..256',
    );
  });

  it('SK_MAX_CONTEXTS', () => {
    const all: Context[] = [];
    const more = () => all.push(kernels.createContext({ mode: 'exact', threads: 1 }));
    for (let tries = 0; tries < 64 && refusal(more) === 'accepted'; tries += 1);
    expect(refusal(more)).toBe('contexts is 65, must be 1..64');
    all.forEach((context) => context.free());
  });

  it('SK_MAX_RANK and SK_MAX_DIM', () => {
    const context = open();
    const view = (shape: number[]) => () => zeros(context, 'u32', shape);
    expect(refusal(view([1, 1, 1, 1, 1]))).toBe('ndim is 5, must be 1..4');
    expect(refusal(view([2 ** 24 + 1]))).toBe('a dimension is 16777217, must be 1..16777216');
    expect(refusal(view([2 ** 24]))).toBe('accepted');
    expect(refusal(() => begin(context).buffer(2 ** 24 + 1))).toBe(
      'dim is 16777217, must be 1..16777216',
    );
    const packed = zeros(context, 'u32', [1, 16]);
    const scales = zeros(context, 'f32', [1, 2 ** 18]);
    const parts = { packed, scales, biases: scales, bits: 4, groupSize: 128 } as const;
    expect(refusal(() => context.quantizedWeight(parts))).toBe(
      'the inner dimension is 33554432, must be 1..16777216',
    );
  });

  it('SK_MAX_HANDLES', () => {
    const context = open();
    const native = bindNative(findLibrary());
    const map = mapZeros(context, 4).handle;
    const [shape, out] = [new BigUint64Array([1n]), new BigUint64Array(1)];
    const view = () => native.sk_tensor_view(context.handle, map, 0, 1, 1, shape, out);
    let made = 0;
    while (made < 2 ** 20 && view() === 0) made += 1;
    expect(made).toBeGreaterThan(2 ** 20 - 1000);
    expect(view()).toBe(4);
    expect(native.sk_last_error()).toBe('more than 1048576 handles');
    context.free();
    expect(refusal(() => open())).toBe('accepted');
  });
});

describe('limits of programs', () => {
  const norm = { normEps: 1e-6 };

  it('SK_MAX_STEP_TOKENS and SK_MAX_POSITIONS', () => {
    const context = open();
    expect(refusal(() => begin(context, 65537))).toBe('max_step_tokens is 65537, must be 1..65536');
    expect(refusal(() => begin(context, 1, 2 ** 24 + 1))).toBe(
      'max_positions is 16777217, must be 1..16777216',
    );
  });

  it('SK_MAX_BUFFERS', () => {
    const program = begin(open());
    for (let made = 0; made < 4096; made += 1) program.buffer(1);
    expect(refusal(() => program.buffer(1))).toBe('buffers of a program is 4097, must be 1..4096');
  });

  it('SK_MAX_OPS', () => {
    const program = begin(open());
    const x = program.buffer(1);
    const more = () => program.siluMul({ gate: x, up: x, dst: x });
    for (let made = 0; made < 65536; made += 1) more();
    expect(refusal(more)).toBe('more than 65536 operations');
  });

  it('SK_MAX_HEADS and SK_MAX_HEAD_DIM', () => {
    const context = open();
    const program = begin(context);
    const x = program.buffer(1);
    const attention = (change: Partial<Attention>) =>
      refusal(() =>
        program.attention({
          ...{ q: x, k: x, v: x, dst: x, heads: 1, kvHeads: 1, headDim: 1, ropeDims: 0 },
          ...{ ropeTheta: 1, gated: false, scale: 1, ...norm, ...change },
        }),
      );
    expect(attention({})).toBe('accepted');
    expect(attention({ heads: 1025 })).toBe('heads is 1025, must be 1..1024');
    expect(attention({ kvHeads: 1025 })).toBe('kv_heads is 1025, must be 1..1024');
    expect(attention({ headDim: 1025 })).toBe('head_dim is 1025, must be 1..1024');
    const one = zeros(context, 'f32', [1]);
    const delta = (change: Partial<GatedDelta>) =>
      refusal(() =>
        program.gatedDelta({
          ...{ mixed: x, a: x, b: x, dst: x, aLog: one, dtBias: one, ...norm },
          ...{ keyHeads: 1, valueHeads: 1, keyDim: 1, valueDim: 1, ...change },
        }),
      );
    expect(delta({ keyHeads: 1025 })).toBe('key_heads is 1025, must be 1..1024');
    expect(delta({ valueHeads: 1025 })).toBe('value_heads is 1025, must be 1..1024');
    expect(delta({ keyDim: 1025 })).toBe('key_dim is 1025, must be 1..1024');
    expect(delta({ valueDim: 1025 })).toBe('value_dim is 1025, must be 1..1024');
  });

  it('SK_MAX_CONV_KERNEL, and SK_MAX_DIM for the weights an operation copies', () => {
    const context = open();
    const program = begin(context);
    const conv = (dim: number, taps: number) => () => {
      const x = program.buffer(dim);
      program.conv1dSilu({ src: x, weight: zeros(context, 'f32', [dim, taps]), taps, dst: x });
    };
    expect(refusal(conv(1, 16))).toBe('accepted');
    expect(refusal(conv(1, 17))).toBe('taps is 17, must be 1..16');
    expect(refusal(conv(2 ** 23, 4))).toBe(
      'elements of a small tensor is 33554432, must be 1..16777216',
    );
  });
});

describe('limits of a step', () => {
  it('tokens and spans', () => {
    const program = echo(open(), 65536, 65536);
    const sequence = program.createSequence();
    const span = (count: number) => ({
      ...{ sequence, tokens: new Int32Array(count), logits: 'none' as const },
    });
    expect(refusal(() => program.step([span(65537)]))).toBe(
      'tokens of a step is 65537, must be 1..65536',
    );
    const spans = (count: number) => Array.from({ length: count }, () => span(1));
    expect(refusal(() => program.step(spans(4097)))).toBe(
      'spans of a step is 4097, must be 1..4096',
    );
    expect(refusal(() => program.step(spans(4096)))).toMatch(/^span 1 names a sequence that is in/);
    expect(sequence.length).toBe(0);
  });

  it('gives as many logits rows as a step can have tokens', () => {
    const program = echo(open(), 65536, 65536);
    const sequence = program.createSequence();
    program.step([{ sequence, tokens: new Int32Array(65536), logits: 'all' }]);
    expect(program.rows).toBe(65536);
  });

  it('SK_MAX_HISTORY, SK_MAX_LOGIT_BIAS and SK_MAX_TOP_LOGPROBS', () => {
    const program = echo(open(), 1, 1);
    program.step([{ sequence: program.createSequence(), tokens: [1], logits: 'last' }]);
    expect(refusal(() => program.sample(0, { history: new Int32Array(2 ** 24 + 1) }))).toBe(
      'history_count is 16777217, must be 0..16777216',
    );
    const logitBias = { tokens: new Int32Array(65537), values: new Float32Array(65537) };
    expect(refusal(() => program.sample(0, { logitBias }))).toBe(
      'bias_count is 65537, must be 0..65536',
    );
    expect(refusal(() => program.sample(0, { topLogprobs: 21 }))).toBe(
      'top_logprobs is 21, must be 0..20',
    );
  });
});

describe('limits that a context is given', () => {
  it('wiredBytes: what fits is locked, what would exceed it is only mapped', () => {
    const context = open({ wiredBytes: 8192 });
    const first = mapZeros(context, 4096);
    expect(context.stats()).toMatchObject({ mappedBytes: 4096, wiredBytes: 4096 });
    const second = mapZeros(context, 8192);
    expect(context.stats()).toMatchObject({ mappedBytes: 12288, wiredBytes: 4096 });
    second.free();
    first.free();
    expect(context.stats()).toMatchObject({ mappedBytes: 0, wiredBytes: 0 });
    mapZeros(context, 8192);
    expect(context.stats().wiredBytes).toBe(8192);
  });

  it('wires nothing without wiredBytes', () => {
    const context = open();
    mapZeros(context, 4096);
    expect(context.stats()).toMatchObject({ mappedBytes: 4096, wiredBytes: 0 });
  });

  it('a lowered limit refuses what is new and keeps what lives', () => {
    const context = open();
    const data = new Float32Array(256);
    const tensor = () => context.createTensor({ type: 'f32', shape: [256], data });
    const kept = tensor();
    context.setLimits({ memoryBytes: 1024 });
    expect(refusal(tensor)).toBe(
      'memory limit reached: 1024 bytes in use, 1024 more asked, limit 1024',
    );
    expect(context.stats().memoryBytes).toBe(1024);
    kept.free();
    expect(refusal(tensor)).toBe('accepted');
  });
});

describe('mapFile', () => {
  it('says that a descriptor is closed, of a folder, or of a shorter file', () => {
    const context = open();
    const path = join(folder, 'ten-bytes');
    writeFileSync(path, '0123456789');
    const fd = openSync(path, 'r');
    const map = (length: number) => refusal(() => context.mapFile({ fd, length }));
    expect(map(11)).toBe('length is 11, the file has 10 bytes');
    expect(map(0)).toBe('length is 0, the file has 10 bytes');
    expect(map(10)).toBe('accepted');
    closeSync(fd);
    expect(map(10)).toBe(`descriptor ${fd} is not an open file: Bad file descriptor`);
    const directory = openSync(folder, 'r');
    const ofFolder = refusal(() => context.mapFile({ fd: directory, length: 1 }));
    expect(ofFolder).toBe(`descriptor ${directory} is not a regular file`);
    closeSync(directory);
    expect(context.stats().mappedBytes).toBe(10);
  });

  it('keeps a view inside its map, which may be freed before it', () => {
    const context = open();
    const map = mapZeros(context, 10);
    const view = (offset: number) =>
      refusal(() => context.tensorView({ map, offset, type: 'f32', shape: [2] }));
    expect(view(2)).toBe('accepted');
    expect(view(3)).toBe("the tensor ends at 3 + 8, beyond the map's 10 bytes");
    map.free();
    expect(context.stats().mappedBytes).toBe(10);
  });
});
