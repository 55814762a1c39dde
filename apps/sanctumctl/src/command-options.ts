import { InvalidArgumentError, type Command } from 'commander';
import type { Site } from './instance/site.js';
import type { Terminal } from './terminal/terminal.js';

/** What commands work with; the site depends on `--home`. */
export interface Context {
  readonly terminal: Terminal;
  readonly site: (options: HomeOption) => Site;
  readonly fail: (code: number) => void;
}

export interface HomeOption {
  readonly home?: string;
}

/** A command with the option every one of them has. */
export function withHome(command: Command): Command {
  return command.option('--home <dir>', 'home folder (default: SANCTUM_HOME, else ./.sanctum)');
}

export function collect(value: string, earlier: readonly string[] | undefined): readonly string[] {
  return [...(earlier ?? []), value];
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) {
    throw new InvalidArgumentError('expected a whole number from 0 up');
  }
  return value;
}
