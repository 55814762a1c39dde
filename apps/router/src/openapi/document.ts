import { schemaComponents, schemaRef, type SchemaName } from './schemas.js';

type Operation = Readonly<Record<string, unknown>>;

interface Posted {
  readonly summary: string;
  readonly request: SchemaName;
  readonly answer: SchemaName;
  /** The answer may be an event stream. */
  readonly streams: boolean;
  readonly error: SchemaName;
}

/** The router's interface as OpenAPI 3.1. Paths below `/v1/` that are not in it are passed through. */
export function openApiDocument(version: string): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Sanctum router',
      version,
      description:
        'One port for every model. What is not listed below /v1/ goes to the default backend as it is.',
    },
    paths: { ...conversationPaths(), ...controlPaths() },
    components: {
      schemas: schemaComponents(),
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        key: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      },
    },
    // On loopback neither is needed.
    security: [{}, { bearer: [] }, { key: [] }],
  };
}

function conversationPaths(): Record<string, object> {
  const chat = { streams: true, error: 'Error' } as const;
  return {
    '/v1/chat/completions': posted({
      summary: 'The next turn of a conversation.',
      request: 'ChatCompletionRequest',
      answer: 'ChatCompletion',
      ...chat,
    }),
    '/v1/completions': posted({
      summary: 'The continuation of a text.',
      request: 'CompletionRequest',
      answer: 'Completion',
      ...chat,
    }),
    '/v1/responses': posted({
      summary: "The next turn, in OpenAI's newer form; nothing is stored.",
      request: 'ResponsesRequest',
      answer: 'Response',
      ...chat,
    }),
    '/v1/messages': posted({
      summary: "The next turn, in Anthropic's form.",
      request: 'MessagesRequest',
      answer: 'Message',
      streams: true,
      error: 'MessagesError',
    }),
    '/v1/embeddings': posted({
      summary: 'Vectors of texts, from the backend of the model.',
      request: 'EmbeddingsRequest',
      answer: 'Embeddings',
      streams: false,
      error: 'Error',
    }),
  };
}

function controlPaths(): Record<string, object> {
  const query = (name: string) => ({ name, in: 'query', schema: { type: 'string' } });
  const model = {
    name: 'model',
    in: 'path',
    required: true,
    schema: { type: 'string', minLength: 1 },
  };
  return {
    '/v1/models': { get: got('Every name a client may send.', 'ModelList') },
    '/v1/models/{model}': {
      get: { ...got('One of them.', 'ModelEntry'), parameters: [model] },
    },
    '/v1/route': {
      get: {
        ...got('What would happen to a request, and why.', 'Route', ['text/plain']),
        parameters: [query('model'), query('prompt')],
      },
    },
    '/v1/backends': { get: got('Backends with their limits and state.', 'Backends') },
    '/health': { get: health('Whether the default backend answers.') },
    '/health/live': { get: health('Whether the process answers.') },
    '/openapi.json': { get: got('This document.') },
  };
}

function posted({ summary, request, answer, streams, error }: Posted): object {
  const stream = { 'text/event-stream': { schema: { description: 'Server-sent events.' } } };
  return {
    post: {
      summary,
      requestBody: { required: true, content: json(schemaRef(request)) },
      responses: {
        200: described('The answer.', { ...json(schemaRef(answer)), ...(streams ? stream : {}) }),
        ...errors(error),
      },
    },
  };
}

function got(summary: string, answer?: SchemaName, others: readonly string[] = []): Operation {
  const text = Object.fromEntries(others.map((type) => [type, { schema: { type: 'string' } }]));
  const schema = answer === undefined ? { type: 'object' } : schemaRef(answer);
  return {
    summary,
    responses: { 200: described('The answer.', { ...json(schema), ...text }), ...errors('Error') },
  };
}

function health(summary: string): Operation {
  const content = json(schemaRef('Health'));
  return {
    summary,
    responses: {
      200: described('It is well.', content),
      503: described('It is not.', content),
      ...errors('Error'),
    },
  };
}

function errors(name: SchemaName): object {
  return {
    '4XX': described('The request is at fault, or has to wait.', json(schemaRef(name))),
    '5XX': described('The router or every upstream failed.', json(schemaRef(name))),
  };
}

function described(description: string, content: object): object {
  return { description, content };
}

function json(schema: object): Record<string, object> {
  return { 'application/json': { schema } };
}
