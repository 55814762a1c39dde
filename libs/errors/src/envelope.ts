import { ERROR_CATALOGUE } from './catalogue.js';
import { isSanctumError } from './sanctum-error.js';

/** The body OpenAI clients parse, plus `source`: who speaks, the router or a backend. */
export interface ErrorEnvelope {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly code: string;
    readonly param: string | null;
    readonly source: string;
  };
}

/**
 * Status, envelope and Retry-After of any thrown value. Unexpected errors become `internal` without
 * their message, which may hold anything; the caller logs it.
 */
export function toEnvelope(
  error: unknown,
  source: string,
): { status: number; body: ErrorEnvelope; retryAfterS: number | undefined } {
  const known = isSanctumError(error);
  const code = known ? error.code : 'internal';
  const definition = ERROR_CATALOGUE[code];
  return {
    status: definition.status,
    retryAfterS: known ? error.retryAfterS : undefined,
    body: {
      error: {
        message: known ? error.message : definition.summary,
        type: definition.type,
        code,
        param: known ? (error.param ?? null) : null,
        source,
      },
    },
  };
}
