import { chmodSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { isSanctumError, messageOf, SanctumError } from '@sanctum/errors';
import { controlRequest, type ControlAnswer, type ControlRequest } from './control-protocol.js';
import { readLines } from './json-lines.js';
import { tailLog } from './log-tail.js';
import type { LocalSupervisor, ServiceEvent } from './local-supervisor.js';

export const CONTROL_CONNECTIONS_MAX = 32;
export const CONTROL_REQUEST_BYTES_MAX = 64 * 1024;
const REQUEST_TIMEOUT_MS = 5_000;

export interface ControlServerOptions {
  readonly path: string;
  readonly supervisor: LocalSupervisor;
  /** Stops everything; the caller answers `stop` when it resolves, and ends the process after. */
  readonly shutDown: () => Promise<void>;
}

/** The supervisor's one control socket, for its owner only. */
export class ControlServer {
  readonly #server: Server;
  readonly #conversations = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  readonly #options: ControlServerOptions;

  private constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#server = createServer((socket) => {
      const conversation = this.#converse(socket);
      this.#conversations.add(conversation);
      void conversation.finally(() => this.#conversations.delete(conversation));
    });
    this.#server.maxConnections = CONTROL_CONNECTIONS_MAX;
  }

  /**
   * A socket file that is in the way belongs to a dead supervisor: the lock is ours.
   *
   * @throws SanctumError `io` when there can be no socket at the path
   */
  static async listen(options: ControlServerOptions): Promise<ControlServer> {
    const { path } = options;
    const control = new ControlServer(options);
    try {
      rmSync(path, { force: true });
      control.#server.listen(path);
      await once(control.#server, 'listening');
      chmodSync(path, 0o600);
      return control;
    } catch (error) {
      control.#server.close();
      throw new SanctumError(
        'io',
        `The control socket ${path} cannot be opened (${messageOf(error)}). ` +
          'Move away what lies there, or name a home with a shorter path.',
        { cause: error, param: path },
      );
    }
  }

  /** Answers what was asked before, ends those who only watch, and removes the socket. */
  async close(): Promise<void> {
    this.#server.close();
    this.#closing.abort();
    await Promise.all([...this.#conversations, once(this.#server, 'close')]);
  }

  async #converse(socket: Socket): Promise<void> {
    const gone = new AbortController();
    socket.on('close', () => gone.abort());
    socket.on('error', () => socket.destroy());
    socket.setTimeout(REQUEST_TIMEOUT_MS, () => socket.destroy());
    const signal = AbortSignal.any([gone.signal, this.#closing.signal]);
    const hangUp = () => socket.destroy();
    signal.addEventListener('abort', hangUp);
    const say = (answer: ControlAnswer) => {
      if (socket.writable) {
        socket.write(`${JSON.stringify(answer)}\n`);
      }
    };
    try {
      const request = await readRequest(socket);
      signal.removeEventListener('abort', hangUp);
      socket.setTimeout(0);
      await this.#serve(request, { say, signal });
    } catch (error) {
      const code = isSanctumError(error) ? error.code : 'internal';
      say({ type: 'error', code, message: messageOf(error) });
    } finally {
      socket.end();
    }
  }

  async #serve(
    request: ControlRequest,
    peer: { readonly say: (answer: ControlAnswer) => void; readonly signal: AbortSignal },
  ): Promise<void> {
    const { supervisor, shutDown } = this.#options;
    switch (request.verb) {
      case 'status':
        peer.say({
          type: 'status',
          pid: process.pid,
          services: (await supervisor.list()).map((status) => ({
            ...status,
            pids: [...status.pids],
          })),
        });
        return;
      case 'watch':
        await this.#watch(peer);
        return;
      case 'start':
        await supervisor.start(request.service);
        break;
      case 'stop':
        await (request.service === undefined ? shutDown() : supervisor.stop(request.service));
        break;
      case 'restart':
        await supervisor.restart(request.service);
        break;
      case 'pause':
        await this.#pause(request.service, peer);
        return;
      case 'logs':
        for await (const line of tailLog(await this.#logOf(request.service), {
          lines: request.lines,
          follow: request.follow,
          signal: peer.signal,
        })) {
          peer.say({ type: 'line', line });
        }
        break;
    }
    peer.say({ type: 'done' });
  }

  /** Bound to the connection: a client that is killed cannot leave a service without a restarter. */
  async #pause(
    service: string,
    peer: { readonly say: (answer: ControlAnswer) => void; readonly signal: AbortSignal },
  ): Promise<void> {
    const { supervisor } = this.#options;
    supervisor.pause(service);
    try {
      peer.say({ type: 'done' });
      if (!peer.signal.aborted) {
        await once(peer.signal, 'abort');
      }
    } finally {
      supervisor.resume(service);
    }
  }

  async #logOf(service: string): Promise<string> {
    const { supervisor } = this.#options;
    if (service !== 'supervisor') {
      await supervisor.status(service);
    }
    return supervisor.logFile(service);
  }

  async #watch(peer: {
    readonly say: (answer: ControlAnswer) => void;
    readonly signal: AbortSignal;
  }): Promise<void> {
    const { events } = this.#options.supervisor;
    const tell = (event: ServiceEvent) => peer.say({ type: 'event', event });
    events.on('change', tell);
    peer.say({ type: 'done' });
    if (!peer.signal.aborted) {
      await once(peer.signal, 'abort');
    }
    events.off('change', tell);
  }
}

async function readRequest(socket: Socket): Promise<ControlRequest> {
  for await (const line of readLines(socket, CONTROL_REQUEST_BYTES_MAX)) {
    const parsed = controlRequest.safeParse(parseJson(line));
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      throw new SanctumError(
        'invalid_request',
        `The control request is not understood: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`,
      );
    }
    return parsed.data;
  }
  throw new SanctumError('invalid_request', 'The connection ended without a request.');
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new SanctumError('invalid_request', 'The control request is not JSON.', { cause: error });
  }
}
