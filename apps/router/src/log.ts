/** The part of a pino logger the router uses. No prompt, answer or credential is ever a field. */
export interface RouterLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
