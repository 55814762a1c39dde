import { z } from 'zod';

const object = z.record(z.string(), z.unknown());
const status = z.enum(['in_progress', 'completed', 'incomplete']).nullish();
const itemId = z.string().nullish();

const inputText = z.strictObject({ type: z.literal('input_text'), text: z.string() });
const inputImage = z.strictObject({
  type: z.literal('input_image'),
  image_url: z.string().min(1),
  detail: z.enum(['low', 'high', 'auto']).nullish(),
  file_id: z.null().optional(),
});
const outputText = z.strictObject({
  type: z.literal('output_text'),
  text: z.string(),
  annotations: z.array(z.unknown()).max(0).optional(),
  logprobs: z.array(z.unknown()).max(0).optional(),
});
const refusal = z.strictObject({ type: z.literal('refusal'), refusal: z.string() });
const part = z.discriminatedUnion('type', [inputText, inputImage, outputText, refusal]);

const message = z.strictObject({
  type: z.literal('message').optional(),
  role: z.enum(['user', 'assistant', 'system', 'developer']),
  content: z.union([z.string(), z.array(part).min(1)]),
  id: itemId,
  status,
  phase: z.enum(['commentary', 'final_answer']).nullish(),
});
const functionCall = z.strictObject({
  type: z.literal('function_call'),
  call_id: z.string().min(1),
  name: z.string().min(1),
  arguments: z.string(),
  id: itemId,
  status,
});
const functionCallOutput = z.strictObject({
  type: z.literal('function_call_output'),
  call_id: z.string().min(1),
  output: z.union([z.string(), z.array(z.discriminatedUnion('type', [inputText]))]),
  id: itemId,
  status,
});
const reasoningItem = z.strictObject({
  type: z.literal('reasoning'),
  summary: z.array(z.unknown()).max(0).optional(),
  content: z
    .array(z.strictObject({ type: z.literal('reasoning_text'), text: z.string() }))
    .optional(),
  encrypted_content: z.null().optional(),
  id: itemId,
  status,
});
/** A message may leave its type out. */
const item = z.union([
  message,
  z.discriminatedUnion('type', [functionCall, functionCallOutput, reasoningItem]),
]);

const tool = z.strictObject({
  type: z.literal('function'),
  name: z.string().regex(/^[a-zA-Z0-9_-]{1,128}$/, 'a name of letters, digits, _ and -, up to 128'),
  description: z.string().nullish(),
  parameters: object.nullish(),
  strict: z.boolean().nullish(),
});

const textFormat = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text') }),
  z.strictObject({ type: z.literal('json_object') }),
  z.strictObject({
    type: z.literal('json_schema'),
    name: z.string().min(1).max(64),
    schema: object,
    description: z.string().optional(),
    strict: z.boolean().nullish(),
  }),
]);

/** A body of OpenAI's `POST /v1/responses`, as far as a chat completion can express it. */
export const responsesRequestSchema = z.strictObject({
  model: z.string().optional(),
  input: z.union([z.string(), z.array(item).min(1)]),
  instructions: z.string().nullish(),
  max_output_tokens: z.int().min(1).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_obfuscation: z.literal(false).optional() }).nullish(),
  tools: z.array(z.discriminatedUnion('type', [tool])).nullish(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.discriminatedUnion('type', [
        z.strictObject({ type: z.literal('function'), name: z.string().min(1) }),
      ]),
    ])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  text: z
    .strictObject({
      format: textFormat.optional(),
      verbosity: z.enum(['low', 'medium', 'high']).nullish(),
    })
    .nullish(),
  reasoning: z
    .strictObject({
      effort: z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']).nullish(),
      summary: z.null().optional(),
    })
    .nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  store: z.literal(false).nullish(),
  previous_response_id: z.null().optional(),
  conversation: z.null().optional(),
  prompt: z.null().optional(),
  background: z.literal(false).nullish(),
  include: z.array(z.string()).max(0).nullish(),
  truncation: z.literal('disabled').nullish(),
  top_logprobs: z.literal(0).nullish(),
  max_tool_calls: z.null().optional(),
  user: z.string().nullish(),
  safety_identifier: z.string().nullish(),
  prompt_cache_key: z.string().nullish(),
  prompt_cache_retention: z.enum(['in_memory', '24h']).nullish(),
  service_tier: z.enum(['auto', 'default', 'flex', 'scale', 'priority']).nullish(),
});

export type ResponsesRequest = z.output<typeof responsesRequestSchema>;
export type InputItem = z.output<typeof item>;
export type InputMessage = z.output<typeof message>;
export type InputPart = z.output<typeof part>;

const KEEPS_NOTHING = 'the router keeps no answers; send the whole input with each request';

/** Why some fields are refused, beyond not being known. */
export const RESPONSES_REASONS = {
  store: 'the router keeps no answers; leave it out or send false',
  previous_response_id: KEEPS_NOTHING,
  conversation: KEEPS_NOTHING,
  prompt: KEEPS_NOTHING,
  background: 'the router answers while the client waits; leave it out or send false',
  include: 'a chat completion has nothing more to include',
  truncation: 'the router cuts no input; leave it out or send "disabled"',
  top_logprobs: 'not translated; ask /v1/chat/completions for logprobs',
  max_tool_calls: 'it limits tools that the backend runs, and it runs none',
  'reasoning.summary': 'a backend that speaks chat completions does not summarise its reasoning',
} as const;
