import { fork, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** One request as the program received it. */
export interface UpstreamRequest {
  readonly id: number;
  readonly behaviour: string;
  readonly method: string;
  /** Path and query behind the behaviour: `/v1/chat/completions`. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly bodyBytes: number;
  /** Empty when larger than 1 MiB. */
  readonly body: Buffer;
  /** Common name of the client certificate, or empty. */
  readonly peer: string;
  /** How many requests this connection has carried, this one included. */
  readonly nth: number;
}

export interface UpstreamProgramOptions {
  /** Paths; a client certificate of the CA is demanded. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
  /** 0, the default, lets the system choose. */
  readonly port?: number;
  readonly keepAliveMs?: number;
}

type Message =
  | { readonly event: 'listening'; readonly port: number }
  | { readonly event: 'closed'; readonly id: number; readonly whole: boolean }
  | { readonly event: 'tls_refused'; readonly message: string }
  | ({ readonly event: 'request' } & Omit<UpstreamRequest, 'body'> & { readonly body: string });

const PROGRAM = fileURLToPath(new URL('../../src/upstreams/program.mjs', import.meta.url));

/** A running upstream; how it answers is chosen by the first path segment, see `url`. */
export class UpstreamProgram {
  readonly requests: UpstreamRequest[] = [];
  readonly #child: ChildProcess;
  readonly #events = new EventEmitter();
  readonly #closed = new Map<number, boolean>();
  readonly #scheme: 'http' | 'https';
  #port = 0;

  private constructor(options: UpstreamProgramOptions) {
    this.#scheme = options.tls === undefined ? 'http' : 'https';
    this.#child = fork(PROGRAM, [JSON.stringify(options)], { execArgv: [] });
    this.#events.setMaxListeners(0);
    this.#child.on('message', (message) => {
      this.#onMessage(message as Message);
    });
  }

  /** Resolves when the program listens on loopback; throws when it ends before, its port taken. */
  static async start(options: UpstreamProgramOptions = {}): Promise<UpstreamProgram> {
    const program = new UpstreamProgram(options);
    const died = once(program.#child, 'exit').then(([code, signal]) => {
      throw new Error(`the upstream ended with ${code ?? signal} before it listened`);
    });
    died.catch(() => undefined);
    await Promise.race([once(program.#events, 'listening'), died]);
    return program;
  }

  get port(): number {
    return this.#port;
  }

  /** Base URL of a backend that behaves so, with `/v1`. */
  url(behaviour: string): string {
    return `${this.#scheme}://127.0.0.1:${this.#port}/${behaviour}/v1`;
  }

  /** The request that arrives next. */
  async nextRequest(): Promise<UpstreamRequest> {
    const [request] = (await once(this.#events, 'request')) as [UpstreamRequest];
    return request;
  }

  /** Waits until the exchange is over: true when the whole answer was sent, false when cut off. */
  async closed(id: number): Promise<boolean> {
    for (;;) {
      const whole = this.#closed.get(id);
      if (whole !== undefined) return whole;
      await once(this.#events, 'closed');
    }
  }

  /** The message of the TLS client that is refused next. */
  async nextTlsRefusal(): Promise<string> {
    const [message] = (await once(this.#events, 'tls_refused')) as [string];
    return message;
  }

  /** Lets every exchange that waits at its gate go on. */
  release(): void {
    this.#child.send({ command: 'release' });
  }

  /** Ends the program as `kill -9` does; resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  #onMessage(message: Message): void {
    switch (message.event) {
      case 'listening':
        this.#port = message.port;
        this.#events.emit('listening');
        return;
      case 'request': {
        const request = { ...message, body: Buffer.from(message.body, 'base64') };
        this.requests.push(request);
        this.#events.emit('request', request);
        this.#child.send({ command: 'noted', id: request.id });
        return;
      }
      case 'closed':
        this.#closed.set(message.id, message.whole);
        this.#events.emit('closed');
        return;
      case 'tls_refused':
        this.#events.emit('tls_refused', message.message);
        return;
    }
  }
}
