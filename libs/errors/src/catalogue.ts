export interface ErrorDefinition {
  /** HTTP status a listener answers with. */
  readonly status: number;
  /** OpenAI error `type`. */
  readonly type: string;
  /** Whether the same request may succeed later or elsewhere. */
  readonly retryable: boolean;
  readonly summary: string;
}

/** Every error Sanctum raises on purpose. Codes are stable: clients and alerts match on them. */
export const ERROR_CATALOGUE = {
  invalid_request: def(400, 'invalid_request_error', 'The request is malformed or out of range.'),
  unsupported: def(400, 'invalid_request_error', 'The field or value is not supported.'),
  context_length_exceeded: def(
    400,
    'invalid_request_error',
    'Prompt and answer do not fit into the context of the model.',
  ),
  unauthorized: def(401, 'authentication_error', 'No valid credential was presented.'),
  forbidden: def(403, 'permission_error', 'The identity may not do this.'),
  not_found: def(404, 'invalid_request_error', 'The route does not exist.'),
  model_not_found: def(404, 'invalid_request_error', 'No such model is served here.'),
  method_not_allowed: def(405, 'invalid_request_error', 'The route exists for another method.'),
  request_timeout: def(408, 'invalid_request_error', 'The client sent its request too slowly.'),
  body_too_large: def(413, 'invalid_request_error', 'The body exceeds the limit.'),
  headers_too_large: def(431, 'invalid_request_error', 'The headers exceed the limit.'),
  queue_full: retry(429, 'rate_limit_error', 'The queue is full; try again after Retry-After.'),
  rate_limited: retry(429, 'rate_limit_error', 'The caller sends more than it may.'),
  budget_spent: retry(429, 'rate_limit_error', 'The tokens of today are spent.'),
  internal: def(500, 'api_error', 'A defect: the message is in the log under the request id.'),
  worker_failed: retry(500, 'api_error', 'The model worker died; it is being restarted.'),
  upstream_failed: retry(502, 'api_error', 'No upstream of the backend answered.'),
  loading: retry(503, 'api_error', 'The model is loading.'),
  breaker_open: retry(
    503,
    'api_error',
    'Every URL of the backend failed of late; one is tried soon.',
  ),
  draining: retry(503, 'api_error', 'The service is shutting down.'),
  upstream_timeout: retry(504, 'api_error', 'The upstream did not answer in time.'),
  config_invalid: def(500, 'configuration_error', 'A configuration file is invalid.'),
  manifest_refused: def(500, 'integrity_error', 'The model does not match its signed manifest.'),
  certificate_invalid: def(500, 'configuration_error', 'A certificate or key is unusable.'),
  model_invalid: def(500, 'configuration_error', 'The model files are unusable.'),
  kernel: def(500, 'api_error', 'The native library refused a call.'),
  out_of_memory: retry(503, 'api_error', 'A memory limit was reached.'),
  io: def(500, 'api_error', 'A file or socket could not be used.'),
  port_in_use: def(500, 'configuration_error', 'A port is taken by another process.'),
  prerequisite_missing: def(500, 'configuration_error', 'A required program is missing.'),
} as const satisfies Record<string, ErrorDefinition>;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;

function def(status: number, type: string, summary: string): ErrorDefinition {
  return { status, type, retryable: false, summary };
}

function retry(status: number, type: string, summary: string): ErrorDefinition {
  return { status, type, retryable: true, summary };
}
