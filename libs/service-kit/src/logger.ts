import { hostname } from 'node:os';
import type { LoggerService } from '@nestjs/common';
import { destination, pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino';
import { scrub, scrubText } from '@sanctum/errors';

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

export interface LoggerOptions {
  readonly service: string;
  readonly level?: LogLevel;
  /** Standard output by default, written synchronously so that a crash loses no line. */
  readonly stream?: DestinationStream;
}

/** One JSON object a line: level, time, service, msg and the fields given. Scrubbed on the way. */
export function createLogger(options: LoggerOptions): Logger {
  const { service, level = 'info', stream = destination({ dest: 1, sync: true }) } = options;
  return pino(
    {
      level,
      base: { service, host: hostname(), pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      serializers: { err: (error: unknown) => error },
      formatters: { level: (label) => ({ level: label }), log: scrubFields },
      hooks: { streamWrite: scrubText },
    },
    stream,
  );
}

function scrubFields(fields: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(scrub({ ...fields }) as object));
}

/** Nest narrates its start-up: of interest to who debugs it. */
export class NestLogger implements LoggerService {
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger.child({ component: 'nest' });
  }

  log(message: unknown): void {
    this.#logger.debug(String(message));
  }

  error(message: unknown, ...details: unknown[]): void {
    this.#logger.error({ details }, String(message));
  }

  warn(message: unknown): void {
    this.#logger.warn(String(message));
  }
}
