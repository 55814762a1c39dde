import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { errnoOf } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { LiveTls } from '@sanctum/identity';
import type { Logger } from 'pino';
import { errorReply } from './http-error.js';
import { joinWrites } from './join-writes.js';
import { hasBegun, isBusy, mayReply, remember } from './open-exchanges.js';
import { createLiveTlsServer, type LiveTlsServerParts } from './tls-listener.js';

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void;

export interface ListenerOptions {
  /** Named in logs and in the addresses reported: `plain`, `mtls`. */
  readonly name: string;
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** HTTPS with these options, or with files that are followed; plain HTTP without. */
  readonly tls?: ServerOptions | LiveTls;
  /** An address that is not there yet: retried in the background instead of ending the start. */
  readonly optional?: boolean;
}

export interface HttpLimits {
  /** Of a TLS handshake too. */
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly headerBytesMax: number;
  readonly connectionsMax: number;
  readonly bodyBytesMax: number;
}

export const HTTP_LIMITS: HttpLimits = {
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  keepAliveTimeoutMs: 75_000,
  headerBytesMax: 16 << 10,
  connectionsMax: 4096,
  bodyBytesMax: 16 << 20,
};

export interface BoundAddress {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly url: string;
}

/** What Node's parser refused: it never became a request. */
export interface UnreadableRequest {
  readonly status: number;
  readonly code: string;
  readonly socket: Socket;
}

export interface BindOptions {
  readonly listeners: readonly ListenerOptions[];
  readonly handler: RequestHandler;
  readonly limits: HttpLimits;
  readonly source: string;
  readonly logger: Logger;
  readonly onUnreadable?: ((refused: UnreadableRequest) => void) | undefined;
}

const RETRY_MS = 5000;
/**
 * Connections that wait to be accepted; the system may hold fewer. Node's 511 are less than a crowd
 * of a thousand: what the system drops, its client tries again a second later.
 */
const BACKLOG = 4096;
const SWEEP_MS = 50;
/** What a connection that is open when its server closes has left to bring its first request. */
const FIRST_REQUEST_MS = 500;

/** One HTTP server per listener, all before one request handler. */
export class Listeners {
  readonly #options: BindOptions;
  readonly #servers = new Map<string, Server>();
  readonly #retries = new Set<NodeJS.Timeout>();
  readonly #connections = new Set<Socket>();
  #closing = false;

  private constructor(options: BindOptions) {
    this.#options = options;
  }

  /** Binds all or none: throws `port_in_use` or `io` with every server closed again. */
  static async bind(options: BindOptions): Promise<Listeners> {
    const listeners = new Listeners(options);
    try {
      for (const listener of options.listeners) await listeners.#open(listener);
    } catch (error) {
      await listeners.close(AbortSignal.abort());
      throw error;
    }
    return listeners;
  }

  get addresses(): readonly BoundAddress[] {
    return [...this.#servers].map(([name, server]) => boundAddress(name, server));
  }

  /** Accepts nothing more, waits for requests under way, cuts what is left when `deadline` fires. */
  async close(deadline: AbortSignal): Promise<void> {
    this.#closing = true;
    for (const retry of this.#retries) clearTimeout(retry);
    const servers = [...this.#servers.values()];
    const cut = (): void => {
      for (const server of servers) server.closeAllConnections();
    };
    const patientUntilMs = performance.now() + FIRST_REQUEST_MS;
    // A connection that was busy when its server closed is not ended by Node when it falls idle; nor
    // is one that browsers and connection pools opened ahead of need, whose handshake may end late.
    const sweep = setInterval(() => {
      for (const server of servers) server.closeIdleConnections();
      if (performance.now() >= patientUntilMs) this.#endUnused();
    }, SWEEP_MS);
    deadline.addEventListener('abort', cut);
    const closed = Promise.all(servers.map((server) => closeServer(server)));
    if (deadline.aborted) cut();
    await closed;
    clearInterval(sweep);
    deadline.removeEventListener('abort', cut);
  }

  #endUnused(): void {
    for (const socket of this.#connections) if (!hasBegun(socket)) socket.destroy();
  }

  async #open(listener: ListenerOptions): Promise<void> {
    const server = this.#create(listener);
    try {
      await listen(server, listener);
      this.#servers.set(listener.name, server);
    } catch (error) {
      // What was prepared for a server that never listened goes with it.
      server.close();
      if (listener.optional !== true) throw bindError(listener, error);
      this.#options.logger.warn({ err: error, listener: place(listener) }, 'listener_unbound');
      this.#retryLater(listener);
    }
  }

  #retryLater(listener: ListenerOptions): void {
    if (this.#closing) return;
    const retry = setTimeout(() => {
      this.#retries.delete(retry);
      void this.#open(listener);
    }, RETRY_MS);
    retry.unref();
    this.#retries.add(retry);
  }

  #create(listener: ListenerOptions): Server {
    const { limits, logger } = this.#options;
    const handler: RequestHandler = (request, response) => {
      remember(response);
      this.#options.handler(request, response);
    };
    const options = {
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      handshakeTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: Math.min(1000, limits.headersTimeoutMs),
    };
    const server = createFor(listener, options, { handler, logger, isBusy });
    server.on(listener.tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
      this.#connections.add(socket);
      joinWrites(socket);
      socket.once('close', () => this.#connections.delete(socket));
    });
    server.maxConnections = limits.connectionsMax;
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      if (mayReply(socket)) this.#refuse(error, socket);
      else socket.destroy();
    });
    return server;
  }

  #refuse(error: NodeJS.ErrnoException, socket: Socket): void {
    // Before the end of its handshake a connection would keep an answer for ever.
    const isOpen = this.#connections.has(socket);
    if (!isOpen || error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const fault = CLIENT_FAULTS[error.code ?? ''] ?? MALFORMED;
    const { status, refusal } = fault;
    // A request whose body did not come in time has an end of its own.
    if (!isBusy(socket)) this.#options.onUnreadable?.({ status, code: refusal.code, socket });
    refuseClient(fault, socket, this.#options.source);
  }
}

function createFor(
  { tls }: ListenerOptions,
  options: ServerOptions,
  parts: LiveTlsServerParts,
): Server {
  if (tls === undefined) return createServer(options, parts.handler);
  if (tls instanceof LiveTls) return createLiveTlsServer(tls, options, parts);
  return createTlsServer({ ...tls, ...options }, parts.handler);
}

function listen(server: Server, { host, port }: ListenerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

function boundAddress(name: string, server: Server): BoundAddress {
  const { address, port } = server.address() as AddressInfo;
  const scheme = 'setSecureContext' in server ? 'https' : 'http';
  const host = address.includes(':') ? `[${address}]` : address;
  return { name, host: address, port, url: `${scheme}://${host}:${port}` };
}

function place({ host, port }: ListenerOptions): string {
  return `${host}:${port}`;
}

function bindError(listener: ListenerOptions, cause: unknown): SanctumError {
  const code = errnoOf(cause) ?? '';
  if (code === 'EADDRINUSE') {
    return new SanctumError(
      'port_in_use',
      `${place(listener)} is taken by another process. Stop it, or choose another port.`,
      { cause, param: listener.name },
    );
  }
  return new SanctumError('io', `${place(listener)} cannot be listened on (${code}).`, {
    cause,
    param: listener.name,
  });
}

/** What Node's parser refuses never reaches a route; the client still gets an envelope. */
function refuseClient(fault: ClientFault, socket: Socket, source: string): void {
  const { status, reason, refusal } = fault;
  const reply = errorReply(refusal, source);
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\n` +
      'content-type: application/json; charset=utf-8\r\nconnection: close\r\n' +
      `content-length: ${Buffer.byteLength(reply.body)}\r\n\r\n${reply.body}`,
  );
}

interface ClientFault {
  readonly status: number;
  readonly reason: string;
  readonly refusal: SanctumError;
}

const MALFORMED: ClientFault = {
  status: 400,
  reason: 'Bad Request',
  refusal: new SanctumError('invalid_request', 'The request is not valid HTTP/1.1.'),
};
const CLIENT_FAULTS: Readonly<Record<string, ClientFault>> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    reason: 'Request Header Fields Too Large',
    refusal: new SanctumError('headers_too_large', 'The request headers are too large.'),
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    reason: 'Request Timeout',
    refusal: new SanctumError('request_timeout', 'The request was not sent in time.'),
  },
};
