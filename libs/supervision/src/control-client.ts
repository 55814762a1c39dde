import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { errnoOf } from '@sanctum/catalog';
import { ERROR_CATALOGUE, SanctumError, type ErrorCode } from '@sanctum/errors';
import { controlAnswer, type ControlAnswer, type ControlRequest } from './control-protocol.js';
import { readLines } from './json-lines.js';
import type { ServiceEvent } from './local-supervisor.js';
import type { ServiceStatus } from './service-manager.js';

/** The supervisor itself gives every probe two seconds. */
const STATUS_TIMEOUT_MS = 5_000;
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

export interface SupervisorStatus {
  readonly pid: number;
  readonly services: readonly ServiceStatus[];
}

/** Talks to a running supervisor over its socket. */
export class ControlClient {
  constructor(private readonly path: string) {}

  /** Whether a supervisor listens; one that hangs still does. */
  async isRunning(): Promise<boolean> {
    try {
      (await this.#connect()).destroy();
      return true;
    } catch (error) {
      if (['ENOENT', 'ENOTDIR', 'ECONNREFUSED'].includes(errnoOf(error) ?? '')) {
        return false;
      }
      throw error;
    }
  }

  /** Throws `io` when the supervisor does not answer in time: it hangs, or was stopped. */
  async status(timeoutMs = STATUS_TIMEOUT_MS): Promise<SupervisorStatus> {
    const deadline = AbortSignal.timeout(timeoutMs);
    for await (const answer of this.#ask({ verb: 'status' }, deadline)) {
      if (answer.type === 'status') {
        return answer;
      }
    }
    if (deadline.aborted) {
      throw new SanctumError(
        'io',
        `The supervisor behind ${this.path} did not answer within ${timeoutMs} ms. ` +
          '`sanctumctl down` ends it and everything it started.',
      );
    }
    throw unfinished('status');
  }

  /** Stops one service, or everything and the supervisor with it. */
  async stop(service?: string): Promise<void> {
    await this.#complete(service === undefined ? { verb: 'stop' } : { verb: 'stop', service });
  }

  async start(service: string): Promise<void> {
    await this.#complete({ verb: 'start', service });
  }

  async restart(service: string): Promise<void> {
    await this.#complete({ verb: 'restart', service });
  }

  /**
   * Keeps the supervisor from starting a service again when it dies, until the returned function is
   * called or this process ends. Throws `invalid_request` when the service is not ready.
   */
  async pause(service: string): Promise<() => void> {
    const abort = new AbortController();
    const answers = this.#ask({ verb: 'pause', service }, abort.signal);
    const first = await answers.next();
    if (first.done === true) {
      throw unfinished('pause');
    }
    // Reading on is what notices the end; it yields nothing more.
    void answers.next().catch(() => undefined);
    return () => abort.abort();
  }

  /** Phases as services enter them, until the supervisor ends or the signal aborts. */
  async *watch(signal: AbortSignal): AsyncGenerator<ServiceEvent> {
    for await (const answer of this.#ask({ verb: 'watch' }, signal)) {
      if (answer.type === 'event') {
        yield answer.event;
      }
    }
  }

  async *logs(
    request: { readonly service: string; readonly lines: number; readonly follow: boolean },
    signal: AbortSignal,
  ): AsyncGenerator<string> {
    for await (const answer of this.#ask({ verb: 'logs', ...request }, signal)) {
      if (answer.type === 'line') {
        yield answer.line;
      }
    }
  }

  async #complete(request: ControlRequest): Promise<void> {
    for await (const answer of this.#ask(request)) {
      if (answer.type === 'done') {
        return;
      }
    }
    throw unfinished(request.verb);
  }

  async *#ask(request: ControlRequest, signal?: AbortSignal): AsyncGenerator<ControlAnswer> {
    const socket = await this.#connect();
    const stop = () => socket.destroy();
    signal?.addEventListener('abort', stop);
    try {
      socket.write(`${JSON.stringify(request)}\n`);
      for await (const line of readLines(socket, ANSWER_BYTES_MAX)) {
        const answer = controlAnswer.parse(JSON.parse(line));
        if (answer.type === 'error') {
          throw new SanctumError(codeOf(answer.code), answer.message);
        }
        yield answer;
      }
    } catch (error) {
      if (signal?.aborted !== true) {
        throw error;
      }
    } finally {
      signal?.removeEventListener('abort', stop);
      socket.destroy();
    }
  }

  async #connect(): Promise<Socket> {
    const socket = connect(this.path);
    await once(socket, 'connect');
    return socket;
  }
}

function codeOf(code: string): ErrorCode {
  return Object.hasOwn(ERROR_CATALOGUE, code) ? (code as ErrorCode) : 'internal';
}

function unfinished(verb: string): SanctumError {
  return new SanctumError('io', `The supervisor ended before it answered "${verb}".`);
}
