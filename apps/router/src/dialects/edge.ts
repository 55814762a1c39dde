import type { IncomingMessage, ServerResponse } from 'node:http';
import { DIALECT_PATHS, type Dialect } from '@sanctum/contracts';
import { messagesError, translate, type Translation } from '@sanctum/dialects';
import type { ErrorEnvelope } from '@sanctum/errors';
import type { RouterLimits } from '../limits.js';
import type { Upstream } from '../upstream/upstream.js';
import { pathOf } from '../proxy/request-path.js';
import { upstreamHeaders } from '../upstream/upstream-headers.js';
import { TranslatedResponse } from './translated-response.js';

type OtherDialect = Exclude<Dialect, 'chat'>;

/** What an upstream is sent. */
export interface Outgoing {
  /** Below `/v1`, with query. */
  readonly target: string;
  readonly body: Buffer;
  /** Instead of those of the same names that the client sent, and besides the others. */
  readonly headers: readonly string[];
}

interface ClientRequest {
  readonly request: IncomingMessage;
  readonly target: string;
  readonly body: Buffer;
}

interface Client extends Omit<ClientRequest, 'body'> {
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly limits: RouterLimits;
}

/** The edge of a request that begins or continues a conversation in another dialect than chat. */
export function openEdge(client: Client): Edge | undefined {
  const dialect = edgeDialect(client.request.method, client.target);
  return dialect === undefined ? undefined : new Edge(dialect, client);
}

function edgeDialect(method: string | undefined, target: string): OtherDialect | undefined {
  if (method !== 'POST') return undefined;
  const path = pathOf(target);
  if (path === DIALECT_PATHS.messages) return 'messages';
  return path === DIALECT_PATHS.responses ? 'responses' : undefined;
}

/**
 * Where a request of another dialect becomes a chat completion, and the answer turns back. It is
 * asked before each attempt, because the URLs of one backend may speak different dialects.
 */
export class Edge {
  readonly response: TranslatedResponse;
  readonly errorEvent: (body: ErrorEnvelope) => string;
  readonly #dialect: OtherDialect;
  #translation: Translation | undefined;
  #chatBody: Buffer | undefined;

  constructor(dialect: OtherDialect, { response, requestId, limits }: Client) {
    this.#dialect = dialect;
    this.response = new TranslatedResponse(response, { requestId, limits, dialect });
    this.errorEvent = ({ error }) => this.#streamError(error);
  }

  /**
   * Translates when any of these will need it. Throws at once where no other could be asked;
   * elsewhere the one that cannot be asked is refused when its turn comes.
   */
  prepare(upstreams: readonly Upstream[], body: Buffer): void {
    const native = upstreams.filter(({ dialects }) => dialects.has(this.#dialect));
    if (native.length === 0) this.#translated(body);
  }

  /**
   * What to send to this upstream, in its dialect. Throws `unsupported` or `invalid_request` with
   * `param` where the request cannot be translated.
   */
  outgoing(upstream: Upstream, { request, target, body }: ClientRequest): Outgoing {
    if (upstream.dialects.has(this.#dialect)) {
      this.response.passThrough();
      return { target, body, headers: upstreamHeaders(upstream, target, request.headers) };
    }
    const { translation, chatBody } = this.#translated(body);
    this.response.translate(translation);
    const headers = [...upstreamHeaders(upstream, DIALECT_PATHS.chat), ...TRANSLATED_HEADERS];
    return { target: DIALECT_PATHS.chat, body: chatBody, headers };
  }

  #translated(body: Buffer): { translation: Translation; chatBody: Buffer } {
    this.#translation ??= translate(this.#dialect, JSON.parse(body.toString('utf8')));
    this.#chatBody ??= Buffer.from(JSON.stringify(this.#translation.chat));
    return { translation: this.#translation, chatBody: this.#chatBody };
  }

  /** The event that ends a stream which died; where it is translated, the translation makes it. */
  #streamError(error: ErrorEnvelope['error']): string {
    if (this.response.isTranslating) return `data: ${JSON.stringify({ error })}\n\n`;
    if (this.#dialect === 'messages') {
      return `event: error\ndata: ${JSON.stringify(messagesError(error))}\n\n`;
    }
    const { code, message, param } = error;
    return `event: error\ndata: ${JSON.stringify({ type: 'error', code, message, param })}\n\n`;
  }
}

/**
 * What to send to this upstream: what the client sent, or its translation. Throws `unsupported` or
 * `invalid_request` with `param` where there is none.
 */
export function outgoingTo(
  upstream: Upstream,
  { edge, request, target }: Omit<ClientRequest, 'body'> & { readonly edge?: Edge | undefined },
  body: Buffer,
): Outgoing {
  if (edge !== undefined) return edge.outgoing(upstream, { request, target, body });
  return { target, body, headers: upstreamHeaders(upstream, target, request.headers) };
}

/** What was sent is JSON now, and what comes back must be readable. */
const TRANSLATED_HEADERS = ['content-type', 'application/json', 'accept-encoding', 'identity'];

/** Flat lists of names and values, the names in lower case. */
export function replaceHeaders(headers: readonly string[], own: readonly string[]): string[] {
  if (own.length === 0) return [...headers];
  const names = new Set(own.filter((_, index) => index % 2 === 0));
  const kept = headers.filter((_, index) => !names.has(headers[index - (index % 2)] ?? ''));
  return [...kept, ...own];
}
