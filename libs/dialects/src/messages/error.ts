import type { ErrorEnvelope } from '@sanctum/errors';

export interface MessagesError {
  readonly type: 'error';
  readonly error: { readonly type: string; readonly message: string };
}

const TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

/** An error in Anthropic's envelope. What OpenAI's has beside message and type is kept beside them. */
export function messagesError(error: ErrorEnvelope['error'], status?: number): MessagesError {
  const { message, type, ...rest } = error;
  return { type: 'error', error: { type: typeOf(type, status), message, ...rest } };
}

function typeOf(type: string, status: number | undefined): string {
  const byStatus = status === undefined ? undefined : TYPES[status];
  if (byStatus !== undefined) return byStatus;
  if (status !== undefined && status < 500) return 'invalid_request_error';
  return Object.values(TYPES).includes(type) ? type : 'api_error';
}
