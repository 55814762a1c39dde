import type { IncomingHttpHeaders } from 'node:http';
import { DIALECT_PATHS } from '@sanctum/contracts';
import { pathOf } from '../proxy/request-path.js';
import type { Upstream } from './upstream.js';

const ANTHROPIC_VERSION = '2023-06-01';

/** Conversations in OpenAI's dialects, which are the same wherever they are spoken. */
const OPENAI_PATHS: ReadonlySet<string> = new Set([DIALECT_PATHS.chat, DIALECT_PATHS.responses]);

/**
 * The headers by which an upstream knows the router, as a flat list of names and values. `target`
 * is below `/v1`, with its query, and `sent` is what the client sent. Anthropic takes a key in
 * `x-api-key` alone and wants a version; others that speak its dialect take a key in either place.
 */
export function upstreamHeaders(
  upstream: Pick<Upstream, 'url' | 'dialects' | 'authorization'>,
  target: string,
  sent: IncomingHttpHeaders = {},
): string[] {
  const { authorization } = upstream;
  const bearer = authorization === undefined ? [] : ['authorization', authorization];
  if (OPENAI_PATHS.has(pathOf(target))) return bearer;
  const isAnthropic = new URL(upstream.url).hostname.endsWith('.anthropic.com');
  if (!isAnthropic && !upstream.dialects.has('messages')) return bearer;
  const version = 'anthropic-version';
  const headers = sent[version] === undefined ? [version, ANTHROPIC_VERSION] : [];
  if (authorization === undefined) return headers;
  headers.push('x-api-key', authorization.slice('Bearer '.length));
  return isAnthropic ? headers : [...headers, ...bearer];
}
