import type { AttemptOutcome } from '@sanctum/routing';

/** A dropped kept-alive connection shows at once; later it is a death. */
const STALE_WITHIN_MS = 1_000;
/** A process that is killed lets its port accept, and resets what was accepted, for a moment. */
const REFUSED_CODES: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE']);
const RESET_CODES: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/** How an attempt stood when its connection failed. */
export interface AttemptProgress {
  /** The request was given to a connection. */
  readonly started: boolean;
  /** The head of an answer had arrived. */
  readonly answered: boolean;
  readonly elapsedMs: number;
}

/** What a connection error means for the failover plan. */
export function outcomeOfError(error: Error, progress: AttemptProgress): AttemptOutcome {
  if (!progress.started) {
    return { kind: 'connect_failure', isRefused: REFUSED_CODES.has(failureClass(error)) };
  }
  const isStale =
    !progress.answered && progress.elapsedMs < STALE_WITHIN_MS && wasReusedConnection(error);
  return { kind: isStale ? 'stale_connection' : 'transport' };
}

/** undici says how much a connection had carried; a bare reset does not tell, and may be one. */
function wasReusedConnection(error: Error): boolean {
  const { code, socket } = error as { code?: unknown; socket?: { bytesRead?: unknown } | null };
  if (typeof code !== 'string' || !RESET_CODES.has(code)) return false;
  return code !== 'UND_ERR_SOCKET' || Number(socket?.bytesRead ?? 0) > 0;
}

/** The stable code of a connection error, or its name. */
export function failureClass(error: Error): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && code !== '' ? code : error.name;
}
