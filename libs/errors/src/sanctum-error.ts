import { ERROR_CATALOGUE, type ErrorCode, type ErrorDefinition } from './catalogue.js';

export interface SanctumErrorOptions {
  readonly cause?: unknown;
  /** The request field, file or setting at fault. */
  readonly param?: string;
  /** Seconds a client should wait before it tries again. */
  readonly retryAfterS?: number;
}

/** An expected failure: `code` is stable, the message says what, where and what to do. */
export class SanctumError extends Error {
  readonly code: ErrorCode;
  readonly param: string | undefined;
  readonly retryAfterS: number | undefined;

  constructor(code: ErrorCode, message: string, options: SanctumErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.param = options.param;
    this.retryAfterS = options.retryAfterS;
  }

  get definition(): ErrorDefinition {
    return ERROR_CATALOGUE[this.code];
  }
}
Object.defineProperty(SanctumError.prototype, 'name', { value: 'SanctumError' });

/** By shape, not by class: errors cross process, realm and bundle boundaries. */
export function isSanctumError(error: unknown): error is SanctumError {
  return (
    isErrorLike(error) &&
    error.name === 'SanctumError' &&
    'code' in error &&
    typeof error.code === 'string' &&
    Object.hasOwn(ERROR_CATALOGUE, error.code)
  );
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return isErrorLike(error) ? error.message : String(error);
}

function isErrorLike(error: unknown): error is Error {
  return (
    typeof error === 'object' &&
    error !== null &&
    'message' in error &&
    typeof error.message === 'string'
  );
}
