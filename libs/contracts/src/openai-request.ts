import { z } from 'zod';
import { parseWith } from './parse-with.js';
import { assertSupported } from './openai-support.js';

export const REQUEST_LIMITS = {
  messages: 2048,
  contentParts: 256,
  stopSequences: 4,
  stopCharacters: 256,
  logitBiasEntries: 1024,
  /** Beyond it a token id would wrap around to another one, as models take 32-bit ids. */
  tokenId: 2 ** 31 - 1,
  modelCharacters: 256,
  topLogprobs: 20,
} as const;

const wellFormed = (text: string): boolean => !/\p{Surrogate}/u.test(text);
const text = z.string().refine(wellFormed, 'text without lone surrogates');
const textPart = z.object({ type: z.literal('text'), text });
const content = z.union(
  [text, z.array(textPart).min(1).max(REQUEST_LIMITS.contentParts)],
  'a string or an array of {type: "text", text} parts',
);

export const chatMessageSchema = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content,
  name: z.string().min(1).max(64).optional(),
});

const stopSequence = z.string().min(1).max(REQUEST_LIMITS.stopCharacters);
const logitBias = z
  .record(z.string().regex(/^(0|[1-9]\d{0,8})$/, 'a token id'), z.number().min(-100).max(100))
  .refine(
    (bias) => Object.keys(bias).length <= REQUEST_LIMITS.logitBiasEntries,
    `at most ${REQUEST_LIMITS.logitBiasEntries} entries`,
  );

/** Sampling and stopping, shared by both endpoints. Absent means the model's default. */
const samplingFields = {
  model: z.string().min(1).max(REQUEST_LIMITS.modelCharacters).optional(),
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().min(0).max(1).optional(),
  top_k: z.int().min(0).optional(),
  min_p: z.number().min(0).max(1).optional(),
  presence_penalty: z.number().min(-2).max(2).optional(),
  frequency_penalty: z.number().min(-2).max(2).optional(),
  repetition_penalty: z.number().gt(0).max(10).optional(),
  logit_bias: logitBias.optional(),
  seed: z.int().optional(),
  n: z.literal(1, '1: one choice per request').optional(),
  max_tokens: z.int().min(1).optional(),
  ignore_eos: z.boolean().optional(),
  stop: z
    .union(
      [stopSequence, z.array(stopSequence).max(REQUEST_LIMITS.stopSequences)],
      'a non-empty string or an array of up to 4 of them, each up to 256 characters',
    )
    .transform((stop) => (typeof stop === 'string' ? [stop] : stop))
    .optional(),
  stream: z.boolean().optional(),
  stream_options: z
    .object({
      include_usage: z.boolean().optional(),
      include_obfuscation: z.literal(false, 'false: obfuscation is not supported').optional(),
    })
    .optional(),
};

export const chatCompletionRequestSchema = z
  .object({
    ...samplingFields,
    messages: z.array(chatMessageSchema).min(1).max(REQUEST_LIMITS.messages),
    max_completion_tokens: z.int().min(1).optional(),
    logprobs: z.boolean().optional(),
    top_logprobs: z.int().min(0).max(REQUEST_LIMITS.topLogprobs).optional(),
    chat_template_kwargs: z.strictObject({ enable_thinking: z.boolean().optional() }).optional(),
  })
  .check((context) => {
    refuseStrayStreamOptions(context);
    const { top_logprobs, logprobs } = context.value;
    if (top_logprobs !== undefined && top_logprobs > 0 && logprobs !== true) {
      refuse(context, 'top_logprobs', 'logprobs: true beside it');
    }
  });

const tokenId = z.int().min(0).max(REQUEST_LIMITS.tokenId);

/** One prompt: text, an array of one text, or token ids. */
const prompt = z
  .union([text, z.array(z.union([text, tokenId], 'a token id')).min(1)], 'text or token ids')
  .refine(
    (value) => typeof value === 'string' || value.length === 1 || value.every(isTokenId),
    'one prompt: a string, an array of one string, or an array of token ids',
  )
  .transform((value) => {
    if (typeof value === 'string') return value;
    return value.every(isTokenId) ? value : String(value[0]);
  });

export const completionRequestSchema = z
  .object({
    ...samplingFields,
    prompt,
    logprobs: z.int().min(0).max(5).optional(),
  })
  .check(refuseStrayStreamOptions);

export type ChatMessage = z.output<typeof chatMessageSchema>;
export type ChatCompletionRequest = z.output<typeof chatCompletionRequestSchema>;
export type CompletionRequest = z.output<typeof completionRequestSchema>;

/**
 * A body of `/v1/chat/completions`: checked in full, `null` read as absent, `stop` always an array,
 * fields Sanctum does not know dropped. Throws `unsupported` for fields it knows and cannot honour
 * and `invalid_request` for the rest, both with `param`.
 */
export function parseChatCompletionRequest(body: unknown): ChatCompletionRequest {
  assertSupported(body);
  return parseWith(chatCompletionRequestSchema, withoutNulls(body));
}

/** The same for a body of `/v1/completions`. */
export function parseCompletionRequest(body: unknown): CompletionRequest {
  assertSupported(body);
  return parseWith(completionRequestSchema, withoutNulls(body));
}

/** The text of a message whose content may be parts: parts are joined without a separator. */
export function contentText(content: ChatMessage['content']): string {
  return typeof content === 'string' ? content : content.map((part) => part.text).join('');
}

function isTokenId(value: string | number): value is number {
  return typeof value === 'number';
}

interface CheckContext<Value> {
  readonly value: Value;
  readonly issues: z.core.$ZodRawIssue[];
}

function refuseStrayStreamOptions(
  context: CheckContext<{ stream?: boolean | undefined; stream_options?: unknown }>,
): void {
  if (context.value.stream_options !== undefined && context.value.stream !== true) {
    refuse(context, 'stream_options', 'stream: true beside it');
  }
}

function refuse(context: CheckContext<unknown>, field: string, message: string): void {
  context.issues.push({ code: 'custom', message, path: [field], input: context.value });
}

/** OpenAI clients send `null` for "not set". */
function withoutNulls(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body;
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
}
