import { closeSync } from 'node:fs';
import { SanctumError } from '@sanctum/errors';
import {
  createChatTemplate,
  createTokenizer,
  DEFAULT_SCHEDULER_LIMITS,
  endOfSequenceId,
  type CausalModel,
  type ChatTemplate,
  type SchedulerLimits,
  type Tokenizer,
} from '@sanctum/generation';
import { openKernels, type Context } from '@sanctum/kernels';
import { loadModel } from '@sanctum/models';
import { availableParallelism } from 'node:os';
import {
  THREADS_MAX,
  type KernelOptions,
  type LibraryInfo,
  type LoadMessage,
  type LoadPhase,
} from '../protocol.js';
import { readModelText } from './model-texts.js';
import { computeOneToken } from './one-token.js';

export interface LoadedModel {
  readonly context: Context;
  readonly model: CausalModel;
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  readonly library: LibraryInfo;
  readonly limits: Partial<SchedulerLimits>;
  readonly phasesMs: Readonly<Record<LoadPhase, number>>;
}

/** Opens the library, reads the tokenizer, maps the weights and computes one token. */
export function loadEngine(
  message: LoadMessage,
  onPhase: (phase: LoadPhase, elapsedMs: number) => void,
): LoadedModel {
  const phasesMs = { library: 0, tokenizer: 0, weights: 0, warm_up: 0 };
  const timed = <T>(phase: LoadPhase, work: () => T): T => {
    const startedMs = performance.now();
    const result = work();
    phasesMs[phase] = performance.now() - startedMs;
    onPhase(phase, phasesMs[phase]);
    return result;
  };

  const { files } = message.model;
  const limits = limitsOf(message);
  const { context, library } = timed('library', () => openContext(message.kernels));
  const { tokenizer, template, eosTokenId } = timed('tokenizer', () => readTexts(files));
  const model = timed('weights', () =>
    loadModel({
      files,
      context,
      options: {
        stepTokensMax: limits.stepTokensMax,
        ...(eosTokenId === undefined ? {} : { eosTokenId }),
        ...(limits.contextTokensMax === undefined
          ? {}
          : { contextLength: limits.contextTokensMax }),
        ...(message.kernels.keyValues === undefined
          ? {}
          : { keyValues: message.kernels.keyValues }),
      },
    }),
  );
  if (tokenizer.size > model.info.vocabSize) {
    throw new SanctumError(
      'model_invalid',
      `tokenizer.json defines ${tokenizer.size} tokens, the model has ${model.info.vocabSize}. ` +
        'They do not belong together.',
      { param: 'tokenizer.json' },
    );
  }
  timed('warm_up', () => computeOneToken(model));
  for (const { fd } of files) closeSync(fd);
  return { context, model, tokenizer, template, library, limits, phasesMs };
}

function readTexts(files: LoadMessage['model']['files']): {
  tokenizer: Tokenizer;
  template: ChatTemplate;
  eosTokenId: number | undefined;
} {
  const json = readModelText(files, 'tokenizer.json');
  if (json === undefined) {
    throw new SanctumError('model_invalid', 'The model has no tokenizer.json.', {
      param: 'tokenizer.json',
    });
  }
  const config = readModelText(files, 'tokenizer_config.json');
  const tokenizer = createTokenizer(json, config);
  const template = createChatTemplate({
    template: readModelText(files, 'chat_template.jinja'),
    config,
    specialTokens: tokenizer.specialTokens,
  });
  const specialTokensMap = readModelText(files, 'special_tokens_map.json');
  return {
    tokenizer,
    template,
    eosTokenId: endOfSequenceId(tokenizer, { config, specialTokensMap }),
  };
}

function openContext(options: KernelOptions): { context: Context; library: LibraryInfo } {
  const kernels = openKernels(options.library);
  const threads = options.threads ?? Math.min(availableParallelism(), THREADS_MAX);
  const context = kernels.createContext({
    threads,
    mode: options.mode,
    ...(options.isa === undefined ? {} : { isa: options.isa }),
    limits: {
      ...(options.cacheLimitBytes === undefined ? {} : { cacheBytes: options.cacheLimitBytes }),
      ...(options.memoryLimitBytes === undefined ? {} : { memoryBytes: options.memoryLimitBytes }),
      ...(options.wiredLimitBytes === undefined ? {} : { wiredBytes: options.wiredLimitBytes }),
    },
  });
  const { name, version } = kernels.info;
  return { context, library: { name, version, isa: context.isa, mode: options.mode, threads } };
}

/** The scheduler may not reserve more for caches than the library would give. */
function limitsOf({ limits, kernels }: LoadMessage): Partial<SchedulerLimits> & {
  stepTokensMax: number;
} {
  const cacheBytesMax = Math.min(
    limits.cacheBytesMax ?? DEFAULT_SCHEDULER_LIMITS.cacheBytesMax,
    kernels.cacheLimitBytes ?? Number.POSITIVE_INFINITY,
  );
  const stepTokensMax = limits.stepTokensMax ?? DEFAULT_SCHEDULER_LIMITS.stepTokensMax;
  return { ...limits, cacheBytesMax, stepTokensMax };
}
