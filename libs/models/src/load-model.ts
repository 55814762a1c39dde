import { SanctumError } from '@sanctum/errors';
import type { CausalModel, ModelInfo } from '@sanctum/generation';
import type { Context } from '@sanctum/kernels';
import type { Architecture } from './architecture.js';
import { Checkpoint } from './checkpoint.js';
import { eosTokenIdsOf, flattenConfig, modelTypeOf } from './model-config.js';
import { ModelWeights } from './model-weights.js';
import { readJsonObject, type OpenFile } from './open-file.js';
import { ProgramModel } from './program-model.js';
import { parseQuantization } from './quantization.js';
import { QWEN3_5 } from './qwen3-5.js';

const ARCHITECTURES: ReadonlyMap<string, Architecture> = new Map([
  ['qwen3_5', QWEN3_5],
  ['qwen3_5_text', QWEN3_5],
]);

/** Every `model_type` that `loadModel` accepts. */
export const MODEL_TYPES: readonly string[] = [...ARCHITECTURES.keys()];

const ELEMENT_BYTES = { f32: 4, f16: 2 } as const;

/** Tokens of one step unless the caller says otherwise. */
export const STEP_TOKENS_DEFAULT = 1024;

export interface LoadOptions {
  /** Longest sequence in tokens; at most, and by default, what the model was made for. */
  readonly contextLength?: number;
  /** Most tokens one step may take. */
  readonly stepTokensMax?: number;
  /** How keys and values are cached; by default f32 in exact mode, f16 in fast mode. */
  readonly keyValues?: keyof typeof ELEMENT_BYTES;
  /** The tokenizer's end-of-sequence token, for models whose configurations name none. */
  readonly eosTokenId?: number;
}

/**
 * Builds a model from files that are already verified and open: config.json, the weights, and
 * generation_config.json and model.safetensors.index.json where there are such. Weights stay in the
 * files, mapped read-only; the descriptors may be closed afterwards. Freeing the context frees the
 * model with it.
 * @throws model_invalid naming the file, key or tensor at fault
 * @throws unsupported for a model_type or quantisation that is not implemented
 * @throws kernel, out_of_memory from the native library
 */
export function loadModel({
  files,
  context,
  options = {},
}: {
  files: readonly OpenFile[];
  context: Context;
  options?: LoadOptions;
}): CausalModel {
  const configFile = findFile(files, 'config.json');
  if (configFile === undefined) {
    throw new SanctumError('model_invalid', 'The model has no config.json.', {
      param: 'config.json',
    });
  }
  const config = flattenConfig(readJsonObject(configFile));
  const modelType = modelTypeOf(config, MODEL_TYPES);
  const graph = architectureOf(modelType).parse(config);
  const contextLength = Math.min(options.contextLength ?? Infinity, graph.contextLength);
  const checkpoint = new Checkpoint(files);
  const quantization = parseQuantization(config);
  const weights = new ModelWeights({ context, checkpoint, quantization });
  const generationFile = findFile(files, 'generation_config.json');
  const generation = generationFile && readJsonObject(generationFile);
  const eosTokenIds = eosTokenIdsOf(config, generation, options.eosTokenId);

  const keyValues = options.keyValues ?? (context.mode === 'exact' ? 'f32' : 'f16');
  const program = context.beginProgram({
    maxStepTokens: options.stepTokensMax ?? STEP_TOKENS_DEFAULT,
    maxPositions: contextLength,
    keyValues,
  });
  try {
    graph.record(program, weights);
    checkpoint.assertAllTaken();
    program.end();
  } catch (error) {
    program.free();
    throw error;
  } finally {
    weights.free();
  }
  const info: ModelInfo = {
    modelType,
    vocabSize: graph.vocabSize,
    contextLength,
    eosTokenIds,
    parameterCount: weights.parameterCount,
    cacheBytesPerToken: graph.keyValueElementsPerToken * ELEMENT_BYTES[keyValues],
    cacheBytesPerSequence: graph.stateElements * ELEMENT_BYTES.f32,
  };
  return new ProgramModel(program, info);
}

function architectureOf(modelType: string): Architecture {
  const architecture = ARCHITECTURES.get(modelType);
  if (architecture === undefined) throw new Error(`no architecture for ${modelType}`);
  return architecture;
}

function findFile(files: readonly OpenFile[], name: string): OpenFile | undefined {
  return files.find((file) => file.name === name);
}
