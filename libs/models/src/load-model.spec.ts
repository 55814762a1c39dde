import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from '@jest/globals';
import type { ModelSequence } from '@sanctum/generation';
import { openKernels } from '@sanctum/kernels';
import { loadModel, MODEL_TYPES, type LoadOptions } from './load-model.js';
import { readBytes } from './open-file.js';
import { readSafetensors } from './safetensors.js';
import { GREEDY, LoadedModel } from './testing/loaded-model.js';
import {
  FIXTURES,
  ModelFolder,
  safetensors,
  TemporaryModel,
  type TensorSpec,
} from './testing/model-folder.js';

const BODY = 'language_model.model.';
const context = openKernels().createContext({ mode: 'exact', threads: 1 });
afterAll(() => context.free());

describe('loadModel', () => {
  it('says what it loaded', () => {
    using loaded = LoadedModel.fixture('hf-nested-bf16', { mode: 'exact' });
    using source = new ModelFolder(`${FIXTURES}/hf-nested-bf16`);
    const language = readSafetensors(source.file('model.safetensors')).filter(
      (tensor) => !/^mtp|visual/.test(tensor.name),
    );
    const elements = language.map((tensor) => tensor.shape.reduce((a, b) => a * b, 1));
    expect(loaded.model.info).toEqual({
      modelType: 'qwen3_5',
      vocabSize: 140,
      contextLength: 512,
      eosTokenIds: [2],
      parameterCount: elements.reduce((a, b) => a + b),
      cacheBytesPerToken: 2 * 32 * 4,
      cacheBytesPerSequence: 3 * 4 * (6 * 16 * 24 + 3 * (2 * 2 * 16 + 6 * 24)),
    });
  });

  it('counts half the bytes for keys and values in f16', () => {
    using loaded = LoadedModel.fixture('hf-nested-bf16', { mode: 'fast' });
    expect(loaded.model.info.cacheBytesPerToken).toBe(2 * 32 * 2);
    using wide = LoadedModel.fixture('hf-nested-bf16', { mode: 'fast' }, { keyValues: 'f32' });
    expect(wide.model.info.cacheBytesPerToken).toBe(2 * 32 * 4);
  });

  it('maps the weights instead of copying them, and gives everything back', () => {
    const before = context.stats();
    using source = new ModelFolder(`${FIXTURES}/dense-bf16`);
    const model = loadModel({ files: source.files, context });
    const during = context.stats();
    expect(during.mappedBytes - before.mappedBytes).toBe(source.file('model.safetensors').size);
    expect(during.memoryBytes - before.memoryBytes).toBeLessThan(1e5);
    model.free();
    expect(context.stats()).toMatchObject({ mappedBytes: before.mappedBytes });
  });

  it('takes end-of-sequence tokens from generation_config.json', () => {
    using model = variant({ files: { 'generation_config.json': '{"eos_token_id":[5,6]}' } });
    expect(load(model).info.eosTokenIds).toEqual([5, 6]);
  });

  it('lets root keys win over text_config', () => {
    using model = variant({
      config: (config) => ({
        ...config,
        text_config: { ...(config['text_config'] as object), tie_word_embeddings: false },
      }),
    });
    expect(load(model).info.vocabSize).toBe(160);
  });

  const refused: [string, Variant, RegExp][] = [
    [
      'an unknown model type',
      { config: (config) => ({ ...config, model_type: 'llama' }) },
      new RegExp(`model_type is "llama"; supported are ${MODEL_TYPES.join(', ')}`),
    ],
    [
      'a misspelt A_log',
      { tensor: rename('layers.1.linear_attn.A_log', (name) => name.toLowerCase()) },
      /tensor "layers\.1\.linear_attn\.A_log" \[2\] is missing/,
    ],
    [
      'a tensor too many',
      { tensor: rename('model.norm.weight', (name) => name, `${BODY}norm.bias`) },
      /uses "language_model\.model\.norm\.bias"/,
    ],
    [
      'a transposed matrix',
      { tensor: reshape('layers.0.mlp.down_proj.weight', [24, 128]) },
      /down_proj\.weight" has shape \[24, 128\], config\.json calls for \[128, 24\]/,
    ],
    [
      'packed words of another dtype',
      { tensor: retype('layers.0.mlp.down_proj.weight', 'F32') },
      /model\.safetensors: tensor ".*down_proj\.weight" is F32, expected U32/,
    ],
    [
      'scales of another dtype',
      { tensor: retype('layers.0.mlp.down_proj.scales', 'I16') },
      /down_proj\.scales" is I16, expected F32, F16 or BF16/,
    ],
    [
      'a norm of another dtype',
      { tensor: retype('layers.2.input_layernorm.weight', 'I16') },
      /layers\.2\.input_layernorm\.weight" is I16/,
    ],
    [
      'packed words without scales',
      { tensor: rename('layers.0.mlp.up_proj.scales', () => `${BODY}layers.0.mlp.scales`) },
      /tensor "layers\.0\.mlp\.up_proj\.scales" \[192, 2\] is missing/,
    ],
    [
      'quantised tensors of a model said to be dense',
      { config: (config) => ({ ...config, quantization: null, quantization_config: null }) },
      /"embed_tokens" is stored quantised, but config\.json says it is dense/,
    ],
    [
      'other bits than the configuration says',
      { config: (config) => quantization(config, { bits: 8 }) },
      /embed_tokens\.weight" has shape \[160, 16\], config\.json calls for \[160, 32\]/,
    ],
    [
      'inputs that are not whole groups',
      { config: (config) => quantization(config, { group_size: 128 }) },
      /"layers\.\d\..*" has (64|192) inputs, not whole groups of 128|calls for/,
    ],
    ['a broken config.json', { files: { 'config.json': '{' } }, /config\.json: not valid JSON/],
    [
      'a broken generation_config.json',
      { files: { 'generation_config.json': '[]' } },
      /generation_config\.json: expected a JSON object/,
    ],
    [
      'a truncated file',
      { cut: 1 },
      /model\.safetensors: tensor ".*": data_offsets .* lie outside/,
    ],
  ];
  it.each(refused)('refuses %s', (_, change, message) => {
    const before = context.stats();
    using model = variant(change);
    expect(() => load(model)).toThrow(message);
    expect(context.stats()).toMatchObject({
      memoryBytes: before.memoryBytes,
      mappedBytes: before.mappedBytes,
    });
  });

  it('refuses a folder without config.json', () => {
    expect(() => loadModel({ files: [], context })).toThrow('The model has no config.json.');
  });
});

describe('a loaded model', () => {
  const name = 'nested-tied-q4g64';

  it('stops at its context length and leaves the sequence as it was', () => {
    using loaded = limited({ contextLength: 8 });
    const { model } = loaded;
    expect(model.info.contextLength).toBe(8);
    const sequence = model.createSequence();
    model.step([{ sequence, tokens: new Int32Array(8), logits: 'last' }]);
    const step = (): void => model.step([{ sequence, tokens: new Int32Array(1), logits: 'last' }]);
    expect(step).toThrow(/step: /);
    expect(sequence.length).toBe(8);
  });

  it('never has a longer context than it was made for', () => {
    using loaded = limited({ contextLength: 100_000 });
    expect(loaded.model.info.contextLength).toBe(512);
  });

  it('refuses steps above its limit, tokens outside the vocabulary, and foreign sequences', () => {
    using loaded = limited({ stepTokensMax: 4 });
    const { model } = loaded;
    const sequence = model.createSequence();
    const step =
      (tokens: readonly number[], of: ModelSequence = sequence) =>
      () =>
        model.step([{ sequence: of, tokens: Int32Array.from(tokens), logits: 'last' }]);
    expect(step([0, 0, 0, 0, 0])).toThrow(/step: /);
    expect(step([160])).toThrow(/step: /);
    expect(step([-1])).toThrow(/step: /);
    expect(step([])).toThrow(/step: /);
    expect(step([1], { length: 0, fork: () => sequence, free: () => undefined })).toThrow(
      /not made by this model/,
    );
    using other = LoadedModel.fixture(name, { mode: 'exact' });
    expect(step([1], other.model.createSequence())).toThrow(/step: /);
    expect(sequence.length).toBe(0);
    step([1, 2])();
    expect(sequence.length).toBe(2);
  });

  it('biases, reports alternatives and refuses rows that do not exist', () => {
    using loaded = limited({});
    const { model } = loaded;
    const sequence = model.createSequence();
    model.step([{ sequence, tokens: Int32Array.of(1, 2, 3), logits: 'last' }]);
    const logits = model.readLogits(0);
    const best = logits.indexOf(Math.max(...logits));
    const plain = model.sample(0, { ...GREEDY, topLogprobs: 3 });
    expect(plain.token).toBe(best);
    expect(plain.top?.map((one) => one.token)[0]).toBe(best);
    expect(plain.top).toHaveLength(3);
    const logitBias = new Map([[(best + 1) % 160, 100]]);
    expect(model.sample(0, { ...GREEDY, logitBias }).token).toBe((best + 1) % 160);
    expect(() => model.sample(1, GREEDY)).toThrow(/sample: /);
    expect(() => model.readLogits(1)).toThrow(/logits: /);
  });

  it('refuses everything once it is freed', () => {
    using loaded = limited({});
    const { model } = loaded;
    const sequence = model.createSequence();
    sequence.free();
    const step = (): void => model.step([{ sequence, tokens: new Int32Array(1), logits: 'none' }]);
    expect(step).toThrow(/step: /);
    expect(() => sequence.fork()).toThrow(/fork: /);
    model.free();
    expect(() => model.createSequence()).toThrow(/sequence: /);
  });

  function limited(options: LoadOptions): LoadedModel {
    return LoadedModel.fixture(name, { mode: 'exact' }, options);
  }
});

type Tensors = [name: string, tensor: TensorSpec][];
type Config = Record<string, unknown>;

/** Changes to a working model. */
interface Variant {
  readonly config?: (config: Config) => Config;
  readonly tensor?: (tensors: Tensors) => Tensors;
  readonly files?: Readonly<Record<string, string>>;
  /** Bytes to cut off the end of the weights. */
  readonly cut?: number;
}

function variant({ config, tensor, files, cut = 0 }: Variant): TemporaryModel {
  const folder = `${FIXTURES}/nested-tied-q4g64`;
  const json = JSON.parse(readFileSync(`${folder}/config.json`, 'utf8')) as Config;
  using source = new ModelFolder(folder);
  const file = source.file('model.safetensors');
  const tensors = readSafetensors(file).map((entry): Tensors[number] => [
    entry.name,
    { dtype: entry.dtype, shape: entry.shape, data: readBytes(file, entry) },
  ]);
  const weights = safetensors(Object.fromEntries(tensor ? tensor(tensors) : tensors));
  return new TemporaryModel({
    'config.json': JSON.stringify(config ? config(json) : json),
    'model.safetensors': weights.subarray(0, weights.length - cut),
    ...files,
  });
}

/** Renames a tensor, or with `copy` adds it once more under that name. */
function rename(suffix: string, to: (name: string) => string, copy?: string) {
  return (tensors: Tensors): Tensors => [
    ...change(suffix, ([name, tensor]) => [to(name), tensor])(tensors),
    ...tensors
      .filter(([name]) => copy !== undefined && name.endsWith(suffix))
      .map(([, tensor]): Tensors[number] => [copy ?? '', tensor]),
  ];
}

function reshape(suffix: string, shape: readonly number[]) {
  return change(suffix, ([name, tensor]) => [name, { ...tensor, shape }]);
}

function retype(suffix: string, dtype: string) {
  return change(suffix, ([name, tensor]) => [name, { ...tensor, dtype }]);
}

function change(suffix: string, edit: (entry: Tensors[number]) => Tensors[number]) {
  return (tensors: Tensors): Tensors => {
    expect(tensors.filter(([name]) => name.endsWith(suffix))).toHaveLength(1);
    return tensors.map((entry) => (entry[0].endsWith(suffix) ? edit(entry) : entry));
  };
}

function quantization(config: Config, change: Record<string, number>): Config {
  return { ...config, quantization: { bits: 4, group_size: 64, ...change } };
}

function load(model: ModelFolder): ReturnType<typeof loadModel> {
  return loadModel({ files: model.files, context });
}
