import type { ServerResponse } from 'node:http';
import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { Logger } from 'pino';
import { errorReply } from './http-error.js';

interface Reply {
  readonly raw: ServerResponse;
  readonly sent: boolean;
  code(status: number): Reply;
  headers(headers: Record<string, string>): Reply;
  send(body: string): unknown;
}

/** Every error of every route, Nest's and Fastify's own, leaves as an OpenAI envelope. */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  readonly #logger: Logger;
  readonly #source: string;

  constructor(logger: Logger, source: string) {
    this.#logger = logger;
    this.#source = source;
  }

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<{ id?: string; url?: string; method?: string }>();
    const reply = http.getResponse<Reply>();
    const answer = errorReply(error, this.#source);
    if (answer.defect) {
      const { id: requestId, method } = request;
      const path = request.url?.split('?')[0];
      this.#logger.error({ err: error, requestId, method, path }, 'a request met a defect');
    }
    if (reply.sent || reply.raw.headersSent) {
      reply.raw.destroy();
      return;
    }
    reply
      .code(answer.status)
      .headers({ ...answer.headers })
      .send(answer.body);
  }
}
