import { SanctumError } from '@sanctum/errors';
import { z } from 'zod';
import { isJsonObject } from './open-file.js';

/**
 * Model configurations come flat, or with the language part nested in `text_config`. Root keys win;
 * a key that is null counts as absent.
 */
export function flattenConfig(root: Record<string, unknown>): Record<string, unknown> {
  const nested = root['text_config'];
  return { ...(isJsonObject(nested) ? present(nested) : {}), ...present(root) };
}

/**
 * The `model_type` of a flattened configuration.
 * @throws unsupported listing what is supported
 */
export function modelTypeOf(config: Record<string, unknown>, supported: readonly string[]): string {
  const modelType = config['model_type'];
  if (typeof modelType === 'string' && supported.includes(modelType)) return modelType;
  const found = modelType === undefined ? 'is missing' : `is ${JSON.stringify(modelType)}`;
  throw new SanctumError(
    'unsupported',
    `config.json: model_type ${found}; supported are ${supported.join(', ')}.`,
    { param: 'model_type' },
  );
}

/**
 * Checks a flattened configuration against a schema.
 * @throws model_invalid naming every key at fault
 */
export function parseConfig<Schema extends z.ZodType>(
  schema: Schema,
  config: Record<string, unknown>,
): z.output<Schema> {
  const result = schema.safeParse(config);
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new SanctumError('model_invalid', `config.json: ${issues.join('; ')}.`, {
    cause: result.error,
    param: result.error.issues[0]?.path.join('.') ?? 'config.json',
  });
}

const tokenIds = z.union([z.int().nonnegative(), z.array(z.int().nonnegative())]);

/**
 * End-of-sequence tokens: generation_config.json says them for generating, config.json otherwise,
 * and where neither does, the tokenizer has one.
 * @throws model_invalid when they are not token ids, or when there are none
 */
export function eosTokenIdsOf(
  config: Record<string, unknown>,
  generationConfig: Record<string, unknown> | undefined,
  ofTokenizer?: number,
): number[] {
  const fromGeneration = generationConfig === undefined ? {} : present(generationConfig);
  const value = fromGeneration['eos_token_id'] ?? config['eos_token_id'] ?? ofTokenizer ?? [];
  const result = tokenIds.safeParse(value);
  if (!result.success) {
    throw new SanctumError(
      'model_invalid',
      `eos_token_id must be a token id or a list of them, found ${JSON.stringify(value)}.`,
      { cause: result.error, param: 'eos_token_id' },
    );
  }
  const tokens = [...new Set([result.data].flat())];
  if (tokens.length > 0) return tokens;
  throw new SanctumError(
    'model_invalid',
    'No file says which token ends an answer. Add eos_token_id to generation_config.json, or ' +
      'eos_token to tokenizer_config.json, and sign the model again.',
    { param: 'eos_token_id' },
  );
}

function present(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null));
}
