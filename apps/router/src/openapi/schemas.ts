import {
  chatCompletionRequestSchema,
  completionRequestSchema,
  type ModelEntry,
  type ModelList,
} from '@sanctum/contracts';
import {
  messagesRequestSchema,
  responsesRequestSchema,
  type MessagesError,
} from '@sanctum/dialects';
import { z } from 'zod';

const modelEntry = z.looseObject({
  id: z.string(),
  object: z.literal('model'),
  created: z.int(),
  owned_by: z.string(),
}) satisfies z.ZodType<ModelEntry>;

const modelList = z.object({
  object: z.literal('list'),
  data: z.array(modelEntry),
}) satisfies z.ZodType<ModelList>;

/** Providers put numbers and nulls where OpenAI has strings; clients get them as they are. */
const errorEnvelope = z.object({
  error: z.looseObject({ message: z.string(), source: z.string() }),
});

const messagesError = z.object({
  type: z.literal('error'),
  error: z.looseObject({ type: z.string(), message: z.string() }),
}) satisfies z.ZodType<MessagesError>;

const embeddingsRequest = z.looseObject({
  model: z.string().optional(),
  input: z.union([z.string(), z.array(z.union([z.string(), z.int(), z.array(z.int())])).min(1)]),
});

/** Answers of backends are passed on, so no more is promised of them than what makes them one. */
const ANSWERS = {
  ChatCompletion: z.looseObject({ choices: z.array(z.looseObject({})) }),
  Completion: z.looseObject({ choices: z.array(z.looseObject({})) }),
  Embeddings: z.looseObject({ data: z.array(z.looseObject({})) }),
  Message: z.looseObject({ type: z.literal('message'), content: z.array(z.looseObject({})) }),
  Response: z.looseObject({ object: z.literal('response'), output: z.array(z.looseObject({})) }),
} as const;

const OWN_ANSWERS = {
  Health: z.looseObject({ status: z.string() }),
  Route: z.looseObject({
    decision: z.looseObject({}),
    explanation: z.array(z.string()),
    upstreams: z.array(z.looseObject({})),
  }),
  Backends: z.looseObject({ default: z.string(), backends: z.array(z.looseObject({})) }),
} as const;

const SCHEMAS = {
  ChatCompletionRequest: chatCompletionRequestSchema,
  CompletionRequest: completionRequestSchema,
  EmbeddingsRequest: embeddingsRequest,
  MessagesRequest: messagesRequestSchema,
  ResponsesRequest: responsesRequestSchema,
  ModelEntry: modelEntry,
  ModelList: modelList,
  Error: errorEnvelope,
  MessagesError: messagesError,
  ...ANSWERS,
  ...OWN_ANSWERS,
} as const;

export type SchemaName = keyof typeof SCHEMAS;

/** `components.schemas`, made from the schemas that requests are checked by. */
export function schemaComponents(): Record<string, object> {
  return Object.fromEntries(
    Object.entries(SCHEMAS).map(([name, schema]) => {
      const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
      return [name, { ...json, $schema: undefined }];
    }),
  );
}

export function schemaRef(name: SchemaName): object {
  return { $ref: `#/components/schemas/${name}` };
}
