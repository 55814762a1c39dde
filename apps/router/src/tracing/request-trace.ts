import type { IncomingMessage } from 'node:http';
import type { AuditedRequest } from '../audit/request-audit.js';
import type { Upstream } from '../upstream/upstream.js';

/** Follows requests beside their way: it takes what is known, and nothing waits for it. */
export interface Tracing {
  /** A request whose headers have been read. */
  begin(request: IncomingMessage): RequestTrace;
  /** Sends what is left, for a few seconds at most. */
  close(): Promise<void>;
}

/** One request, from its headers to the end of its answer. */
export interface RequestTrace {
  /** A URL is asked: its trace context replaces that in `headers`, a flat list of names and values. */
  asks(upstream: Upstream, headers: string[]): void;
  /** The URL that was asked last will be asked again in a moment, as part of the same attempt. */
  waits(): void;
  end(request: AuditedRequest, more: MoreOfRequest): void;
}

/** What traces have beyond the audit. */
export interface MoreOfRequest {
  readonly method: string | undefined;
  /** From the end of the request to the first content sent; undefined when there was none. */
  readonly firstContentMs: number | undefined;
}

export type TracedRequest = AuditedRequest & MoreOfRequest;
