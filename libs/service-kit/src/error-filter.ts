import type { ServerResponse } from 'node:http';
import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { isSanctumError, SanctumError } from '@sanctum/errors';
import type { Logger } from 'pino';
import type { AllowedMethods } from './allowed-methods.js';
import { asKnownError, errorReply } from './http-error.js';

interface Reply {
  readonly raw: ServerResponse;
  readonly sent: boolean;
  code(status: number): Reply;
  headers(headers: Record<string, string>): Reply;
  send(body: string): unknown;
}

export interface ErrorFilterOptions {
  readonly logger: Logger;
  readonly source: string;
  readonly allowed: AllowedMethods;
}

/** Every error of every route, Nest's and Fastify's own, leaves as an OpenAI envelope. */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  readonly #options: ErrorFilterOptions;

  constructor(options: ErrorFilterOptions) {
    this.#options = options;
  }

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<{ id?: string; url?: string; method?: string }>();
    const reply = http.getResponse<Reply>();
    const { logger, source, allowed } = this.#options;
    const path = request.url?.split('?')[0];
    const allow = isUnrouted(error) ? allowed.of(path ?? '') : [];
    const answer = errorReply(allow.length > 0 ? wrongMethod(request, allow) : error, source);
    if (answer.defect) {
      const { id: requestId, method } = request;
      logger.error({ err: error, requestId, method, path }, 'a request met a defect');
    }
    if (reply.sent || reply.raw.headersSent) {
      reply.raw.destroy();
      return;
    }
    reply
      .code(answer.status)
      .headers({ ...answer.headers, ...(allow.length > 0 && { allow: allow.join(', ') }) })
      .send(answer.body);
  }
}

/** Nest's own "not found", as opposed to what a route says of a thing it does not have. */
function isUnrouted(error: unknown): boolean {
  const known = asKnownError(error);
  return !isSanctumError(error) && isSanctumError(known) && known.code === 'not_found';
}

function wrongMethod({ method }: { method?: string }, allow: readonly string[]): SanctumError {
  return new SanctumError(
    'method_not_allowed',
    `${method ?? 'This method'} is not answered here; use ${allow.join(' or ')}.`,
  );
}
