import type { Upstream } from '../upstream/upstream.js';

/**
 * Attributes by the OpenTelemetry semantic conventions for generative AI and HTTP, with `sanctum.*`
 * for what those have no name for. None of them ever holds a word of a prompt or an answer.
 */
export type SpanAttributes = Record<string, string | number | boolean | string[] | undefined>;

export interface SpanEnd {
  readonly name: string;
  readonly attributes: SpanAttributes;
  /** The router, or a URL, did not do what was asked; a client's own mistake is no such failure. */
  readonly failed: boolean;
}

/** `error.type` of what a client no longer waited for. */
export const CANCELLED = 'cancelled';
/** Of a model's name as a client sent it: names are short, and this is no place for anything else. */
const MODEL_CHARS_MAX = 128;

export interface Operation {
  /** Label of the path, as metrics have it. */
  readonly route: string;
  readonly method: string | undefined;
  readonly model: string | undefined;
}

/** The name of a span, and the attributes it is made of. */
export function named({ route, method = '', model }: Operation): Omit<SpanEnd, 'failed'> {
  const operation = OPERATIONS[route];
  const shortModel = model?.slice(0, MODEL_CHARS_MAX);
  return {
    name: operation === undefined ? method : [operation, shortModel ?? []].flat().join(' '),
    attributes: {
      'http.request.method': method,
      'gen_ai.operation.name': operation,
      'gen_ai.request.model': shortModel,
    },
  };
}

const OPERATIONS: Readonly<Record<string, string>> = {
  'chat/completions': 'chat',
  responses: 'chat',
  messages: 'chat',
  completions: 'text_completion',
  embeddings: 'embeddings',
};

/** The conventions' name of a known provider, else the backend's name. */
export function providerOf({ url, backend }: Upstream): string {
  const { hostname } = new URL(url);
  return PROVIDERS.find(([host]) => host.test(hostname))?.[1] ?? backend;
}

const PROVIDERS: readonly (readonly [RegExp, string])[] = [
  [/^api\.openai\.com$/, 'openai'],
  [/^api\.anthropic\.com$/, 'anthropic'],
  [/\.openai\.azure\.com$/, 'azure.ai.openai'],
  [/\.services\.ai\.azure\.com$/, 'azure.ai.inference'],
  [/^bedrock-runtime\..*\.amazonaws\.com$/, 'aws.bedrock'],
  [/^generativelanguage\.googleapis\.com$/, 'gcp.gemini'],
  [/aiplatform\.googleapis\.com$/, 'gcp.vertex_ai'],
  [/^api\.cohere\.(?:ai|com)$/, 'cohere'],
  [/^api\.deepseek\.com$/, 'deepseek'],
  [/^api\.groq\.com$/, 'groq'],
  [/^api\.mistral\.ai$/, 'mistral_ai'],
  [/^api\.perplexity\.ai$/, 'perplexity'],
  [/^api\.x\.ai$/, 'x_ai'],
];
