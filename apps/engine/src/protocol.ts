import type { ChatMessage } from '@sanctum/contracts';
import type { ErrorCode } from '@sanctum/errors';
import { isSanctumError, messageOf, SanctumError } from '@sanctum/errors';
import type {
  Delta,
  Finish,
  GenerationOptions,
  ModelInfo,
  SchedulerLimits,
  SchedulerStats,
} from '@sanctum/generation';

export type { Delta, Finish };

/**
 * The one typed union between the main process and its worker: a forked process with
 * `serialization: 'advanced'`. Weight files are not in the messages: the main process verifies
 * them, hands the open descriptors over through `stdio`, and `load` names their numbers.
 *
 * The life of a submitted id, as the main process sees it: either `failed`, or `accepted` and then
 * deltas inside `step` messages until exactly one end: a delta with `finish`, `failed`, or
 * `cancelled`. Nothing follows an end.
 */
export type MainMessage =
  | LoadMessage
  | SubmitMessage
  | { readonly type: 'cancel'; readonly id: string }
  /** Ask an idle worker for one token: proof of life. Answered by `probed`, ahead of the queue. */
  | { readonly type: 'probe'; readonly id: string }
  /** Refuse what comes from now on; answered by `drained` when the last request has ended. */
  | { readonly type: 'drain' };

export type WorkerMessage =
  | { readonly type: 'progress'; readonly phase: LoadPhase; readonly elapsedMs: number }
  | { readonly type: 'loaded'; readonly info: LoadedInfo }
  | AcceptedMessage
  | StepMessage
  | { readonly type: 'failed'; readonly id: string; readonly error: WireError }
  | { readonly type: 'cancelled'; readonly id: string }
  | { readonly type: 'probed'; readonly id: string; readonly elapsedMs: number }
  | { readonly type: 'drained' }
  /** The worker cannot go on and exits with code 1 after this message. */
  | { readonly type: 'fatal'; readonly error: WireError };

export type LoadPhase = 'library' | 'tokenizer' | 'weights' | 'warm_up';

/** An open, verified file of the model. `fd` is the number in the worker: its place in `stdio`. */
export interface InheritedFile {
  /** Path inside the model folder, as the manifest names it. */
  readonly name: string;
  readonly fd: number;
  readonly size: number;
}

/** More threads the library does not take. */
export const THREADS_MAX = 256;

export interface KernelOptions {
  /** Path of the native library; left out, the best one found is used. */
  readonly library?: string;
  readonly threads?: number;
  readonly mode: 'exact' | 'fast';
  /** Forces one instruction set; left out, the best of the processor. */
  readonly isa?: string;
  /** How keys and values are cached; left out, f32 in `exact` mode, f16 in `fast`. */
  readonly keyValues?: 'f32' | 'f16';
  /** `--metal-cache-limit-mb`: bytes of caches (key/value pages, recurrent states). */
  readonly cacheLimitBytes?: number;
  /** `--metal-memory-limit-mb`: bytes of everything the library allocates. */
  readonly memoryLimitBytes?: number;
  /** `--metal-wired-limit-mb`: bytes locked in memory. */
  readonly wiredLimitBytes?: number;
}

export interface LoadMessage {
  readonly type: 'load';
  readonly model: { readonly id: string; readonly files: readonly InheritedFile[] };
  readonly kernels: KernelOptions;
  readonly limits: Partial<SchedulerLimits>;
}

export interface LoadedInfo {
  readonly model: ModelInfo;
  readonly library: LibraryInfo;
  /** Tokens that a prompt with its answer may take: the model's, or less where memory is. */
  readonly contextLength: number;
  readonly limits: SchedulerLimits;
  /** Milliseconds per phase. */
  readonly phasesMs: Readonly<Record<LoadPhase, number>>;
}

export interface LibraryInfo {
  readonly name: string;
  readonly version: string;
  readonly isa: string;
  readonly mode: 'exact' | 'fast';
  readonly threads: number;
}

export type Prompt =
  | {
      readonly kind: 'chat';
      readonly messages: readonly ChatMessage[];
      readonly enableThinking: boolean;
    }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tokens'; readonly tokens: readonly number[] };

export interface SubmitMessage {
  readonly type: 'submit';
  /** Unique among requests that have not ended. */
  readonly id: string;
  /** Whose turn in the fair queue this takes: an identity, token or address. */
  readonly client: string;
  readonly prompt: Prompt;
  readonly options: GenerationOptions;
}

/** The request is queued: from here on it ends in a finish, unless something breaks. */
export interface AcceptedMessage {
  readonly type: 'accepted';
  readonly id: string;
  readonly promptTokens: number;
}

/** What one scheduler step produced for all its requests. */
export interface StepMessage {
  readonly type: 'step';
  /** Milliseconds since 1970 at the step's end. */
  readonly at: number;
  readonly deltas: readonly Delta[];
  readonly stats: SchedulerStats;
}

/** A SanctumError as it crosses the process boundary. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly param?: string;
  readonly retryAfterS?: number;
}

/** Anything thrown, for the wire; what is not a SanctumError becomes `code` (default `internal`). */
export function toWireError(error: unknown, code: ErrorCode = 'internal'): WireError {
  if (!isSanctumError(error)) return { code, message: messageOf(error) };
  return {
    code: error.code,
    message: error.message,
    ...(error.param === undefined ? {} : { param: error.param }),
    ...(error.retryAfterS === undefined ? {} : { retryAfterS: error.retryAfterS }),
  };
}

/** The error again, on the other side. */
export function fromWireError(wire: WireError): SanctumError {
  return new SanctumError(wire.code, wire.message, {
    ...(wire.param === undefined ? {} : { param: wire.param }),
    ...(wire.retryAfterS === undefined ? {} : { retryAfterS: wire.retryAfterS }),
  });
}
