import { SanctumError } from '@sanctum/errors';
import { z } from 'zod';
import { found } from './found.js';
import type { GenerationOptions } from './request.js';

/** Stop sequences of one request, and characters of each. */
export const STOP_SEQUENCES_MAX = 4;
export const STOP_CHARS_MAX = 256;
export const LOGIT_BIAS_MAX = 1024;
export const TOP_LOGPROBS_MAX = 20;

const TOKENS_MAX = 2 ** 31 - 1;

function range(min: number, max: number): z.ZodType<number | null | undefined> {
  return z.number(`must be a number from ${min} to ${max}`).min(min).max(max).nullish();
}

function integer(min: number, max: number): z.ZodType<number | null | undefined> {
  return z.int(`must be a whole number from ${min} to ${max}`).min(min).max(max).nullish();
}

const flag = z.boolean('must be true or false').nullish();
const stop = z.string().min(1).max(STOP_CHARS_MAX, `may have at most ${STOP_CHARS_MAX} characters`);

const FIELDS = {
  temperature: range(0, 2),
  top_p: z.number('must be a number above 0 up to 1').gt(0).max(1).nullish(),
  min_p: range(0, 1),
  top_k: integer(-1, TOKENS_MAX),
  repetition_penalty: z.number('must be a number above 0 up to 10').gt(0).max(10).nullish(),
  presence_penalty: range(-2, 2),
  frequency_penalty: range(-2, 2),
  logit_bias: z
    .record(
      z.string().regex(/^\d{1,9}$/u),
      z.number('must be a number from -100 to 100').min(-100).max(100),
      'must be an object of token ids and numbers from -100 to 100',
    )
    .refine((bias) => Object.keys(bias).length <= LOGIT_BIAS_MAX, {
      error: `may name at most ${LOGIT_BIAS_MAX} tokens`,
    })
    .nullish(),
  seed: z.int('must be a whole number of at most 53 bits').nullish(),
  max_tokens: integer(1, TOKENS_MAX),
  max_completion_tokens: integer(1, TOKENS_MAX),
  stop: z
    .union([stop, z.array(stop).max(STOP_SEQUENCES_MAX)], {
      error: `must be a text or up to ${STOP_SEQUENCES_MAX} of them, none empty, each of at most ${STOP_CHARS_MAX} characters`,
    })
    .nullish(),
  n: z.literal(1, 'must be 1: one answer per request is what is supported').nullish(),
  ignore_eos: flag,
  stream: flag,
  stream_options: z
    .strictObject(
      { include_usage: flag, include_obfuscation: z.literal(false, 'must be false').nullish() },
      'may only hold include_usage',
    )
    .nullish(),
  model: z.string('must name a model').min(1, 'must name a model').max(256),
  user: z.string('must be a text').max(256, 'may have at most 256 characters').nullish(),
};

const CHAT = z.object({
  ...FIELDS,
  logprobs: flag,
  top_logprobs: integer(0, TOP_LOGPROBS_MAX),
});
const COMPLETION = z.object({ ...FIELDS, logprobs: integer(0, TOP_LOGPROBS_MAX) });

/** What a request says besides its prompt. */
export interface ParsedSampling {
  readonly model: string;
  readonly stream: boolean;
  /** `stream_options.include_usage`. */
  readonly includeUsage: boolean;
  readonly user?: string;
  readonly options: GenerationOptions;
}

/**
 * The fields of a chat or completion request that steer its answer, in OpenAI's names and ranges,
 * with `top_k`, `min_p`, `repetition_penalty` and `ignore_eos` beside them. Throws
 * `invalid_request` naming the first field at fault.
 */
export function parseSampling(body: unknown, endpoint: 'chat' | 'completion'): ParsedSampling {
  const parsed = endpoint === 'chat' ? CHAT.safeParse(body) : COMPLETION.safeParse(body);
  if (!parsed.success) throw toError(parsed.error, body);
  const fields = parsed.data;
  const maxTokens = maxTokensOf(fields.max_tokens, fields.max_completion_tokens);
  const logprobs = logprobsOf(fields);
  return {
    model: fields.model,
    stream: fields.stream ?? false,
    includeUsage: fields.stream_options?.include_usage ?? false,
    ...optional('user', fields.user),
    options: {
      sampling: samplingOf(fields),
      ...optional('maxTokens', maxTokens),
      stop: typeof fields.stop === 'string' ? [fields.stop] : (fields.stop ?? []),
      ...optional('logprobs', logprobs),
      ignoreEos: fields.ignore_eos ?? false,
    },
  };
}

type Fields = z.infer<typeof CHAT> | z.infer<typeof COMPLETION>;

function samplingOf(fields: Fields): GenerationOptions['sampling'] {
  const bias = Object.entries(fields.logit_bias ?? {});
  return {
    temperature: fields.temperature ?? 1,
    topK: Math.max(0, fields.top_k ?? 0),
    topP: fields.top_p ?? 1,
    minP: fields.min_p ?? 0,
    repetitionPenalty: fields.repetition_penalty ?? 1,
    presencePenalty: fields.presence_penalty ?? 0,
    frequencyPenalty: fields.frequency_penalty ?? 0,
    logitBias: new Map(bias.map(([token, value]) => [Number(token), value])),
    ...optional(
      'seed',
      typeof fields.seed === 'number' ? BigInt.asUintN(64, BigInt(fields.seed)) : null,
    ),
  };
}

function maxTokensOf(
  earlier: number | null | undefined,
  later: number | null | undefined,
): number | undefined {
  if (typeof earlier === 'number' && typeof later === 'number' && earlier !== later) {
    throw new SanctumError(
      'invalid_request',
      'max_tokens and max_completion_tokens differ. Send one of them.',
      { param: 'max_tokens' },
    );
  }
  return later ?? earlier ?? undefined;
}

/** Chat asks with a flag and a count, completions with the count alone. */
function logprobsOf(fields: Fields): number | undefined {
  if (typeof fields.logprobs === 'number') return fields.logprobs;
  const top = 'top_logprobs' in fields ? fields.top_logprobs : undefined;
  if (fields.logprobs === true) return top ?? 0;
  if (typeof top === 'number' && top > 0) {
    throw new SanctumError('invalid_request', 'top_logprobs needs logprobs to be true.', {
      param: 'top_logprobs',
    });
  }
  return undefined;
}

/** The field when it has a value, for spreading: an absent field stays absent. */
function optional<K extends string, V>(key: K, value: V | null | undefined): Partial<Record<K, V>> {
  if (value === null || value === undefined) return {};
  const field: Partial<Record<K, V>> = {};
  field[key] = value;
  return field;
}

function toError(error: z.ZodError, body: unknown): SanctumError {
  const issue = error.issues[0];
  const path = issue?.path ?? [];
  let value = body;
  for (const key of path) {
    value = (value as Readonly<Record<PropertyKey, unknown>> | undefined)?.[key];
  }
  const param = path.map(String).join('.');
  return new SanctumError(
    'invalid_request',
    `${param || 'The body'} ${issue?.message ?? 'is malformed'}; found ${found(value)}.`,
    { param: param || 'body' },
  );
}
