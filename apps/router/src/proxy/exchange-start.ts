import type { IncomingMessage } from 'node:http';
import type { Admitted } from '@sanctum/service-kit';
import type { CallerPolicy } from '../access/callers.js';
import type { ClientResponse } from '../dialects/client-response.js';
import type { Edge } from '../dialects/edge.js';

export interface ExchangeStart {
  readonly request: IncomingMessage;
  readonly response: ClientResponse;
  /** Where the client speaks another dialect than chat; `response` is its. */
  readonly edge?: Edge | undefined;
  readonly requestId: string;
  readonly caller: Admitted;
  /** What the caller may do; undefined for everything. */
  readonly policy: CallerPolicy | undefined;
  /** Below `/v1`, with query. */
  readonly target: string;
}
