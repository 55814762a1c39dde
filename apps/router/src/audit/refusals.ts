import type { IncomingMessage, ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';
import { SanctumError } from '@sanctum/errors';
import {
  presentedKey,
  type Admitted,
  type ServiceAudit,
  type UnreadableRequest,
} from '@sanctum/service-kit';
import type { RouterLog } from '../log.js';
import { routeLabel } from '../metrics.js';
import { RefusalWindow } from './refusal-window.js';

/** A request that was turned away unread. */
export interface Refused {
  readonly requestId: string;
  readonly request: IncomingMessage;
  /** Undefined where nobody was recognised. */
  readonly caller: Admitted | undefined;
  /** Below `/v1`, with query; of other paths empty. */
  readonly target: string;
  readonly status: number;
  readonly code: string;
}

interface Asking {
  readonly requestId: string;
  readonly caller: Admitted;
}

interface RefusalsOptions {
  readonly audit: Pick<ServiceAudit, 'note'>;
  readonly log: RouterLog;
}

const FIRST_CLIENT_ERROR = 400;
const FIRST_SERVER_ERROR = 500;

/**
 * Writes down who was refused what, in the audit and in the log: a flood of refusals as a few lines
 * a second and their number.
 */
export class Refusals {
  readonly #options: RefusalsOptions;
  /** At the door: these requests have no line in the audit but this one. */
  readonly #door: RefusalWindow;
  /** Further in: these have a line of their own in the audit, like every request. */
  readonly #inside: RefusalWindow;

  constructor(options: RefusalsOptions) {
    const { audit, log } = options;
    this.#options = options;
    this.#door = new RefusalWindow((code, count) => {
      audit.note('refusals', { code, count });
      log.warn({ code, count }, 'more requests refused');
    });
    this.#inside = new RefusalWindow((code, count) => {
      log.warn({ code, count }, 'more requests refused');
    });
  }

  atDoor(refused: Refused): void {
    if (!this.#door.take(refused.code)) return;
    const { requestId, request, caller, target, status, code } = refused;
    const fields = {
      ...requestFields(requestId, caller),
      ...(caller === undefined ? strangerFields(request) : {}),
      route: routeLabel(target.split('?', 1)[0] ?? ''),
      status,
    };
    this.#write(fields, code);
  }

  /** What never became a request: nobody knows yet who asks, nor for what. */
  unreadable({ status, code, socket }: UnreadableRequest): void {
    if (!this.#door.take(code)) return;
    const transport = socket instanceof TLSSocket ? 'mtls' : 'plain';
    this.#write({ transport, address: socket.remoteAddress, status }, code);
  }

  /** A request that was let in, and refused by the router before any backend was asked. */
  inside({ requestId, caller }: Asking, { status, error }: RefusedInside): void {
    const { log } = this.#options;
    const fields = requestFields(requestId, caller);
    const code = error instanceof SanctumError ? error.code : 'internal';
    if (status === FIRST_SERVER_ERROR) log.error({ ...fields, err: error }, 'request failed');
    else if (this.#inside.take(code)) log.warn({ ...fields, status, code }, 'request refused');
  }

  /** Watches a request that the control pages answer: whom they refuse is refused at the door. */
  watch(caller: Admitted, request: IncomingMessage, response: ServerResponse): void {
    response.once('finish', () => {
      const { statusCode: status } = response;
      if (status < FIRST_CLIENT_ERROR || status >= FIRST_SERVER_ERROR) return;
      const requestId = String(response.getHeader('x-request-id') ?? '');
      const code = `status_${status}`;
      this.atDoor({ requestId, request, caller, target: '', status, code });
    });
  }

  /** What was only counted so far is written down. */
  flush(): void {
    this.#door.flush();
    this.#inside.flush();
  }

  #write(fields: object, code: string): void {
    const { audit, log } = this.#options;
    audit.note('request', { ...fields, outcome: 'refused', error_class: code });
    log.warn({ ...fields, code }, 'request refused');
  }
}

interface RefusedInside {
  readonly status: number;
  readonly error: unknown;
}

/** What every line about a request says of it first. */
export function requestFields(
  requestId: string,
  caller: Admitted | undefined,
): Readonly<Record<string, unknown>> {
  return { request_id: requestId, identity: caller?.identity, transport: caller?.transport };
}

/** Who was not recognised came from an address, and in some way. */
function strangerFields(request: IncomingMessage): object {
  const { socket } = request;
  const plain = presentedKey(request) === undefined ? 'plain' : 'bearer';
  const transport = socket instanceof TLSSocket ? 'mtls' : plain;
  return { transport, address: socket.remoteAddress };
}
