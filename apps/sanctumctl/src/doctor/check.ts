export type Level = 'ok' | 'warn' | 'fail';

export interface Finding {
  readonly check: string;
  readonly level: Level;
  readonly detail: string;
  /** What to do about it. */
  readonly advice?: string;
}

export function ok(check: string, detail: string): Finding {
  return { check, level: 'ok', detail };
}

export function warn(check: string, detail: string, advice: string): Finding {
  return { check, level: 'warn', detail, advice };
}

export function fail(check: string, detail: string, advice: string): Finding {
  return { check, level: 'fail', detail, advice };
}
