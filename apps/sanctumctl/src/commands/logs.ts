import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SanctumError } from '@sanctum/errors';
import { tailLog } from '@sanctum/supervision';
import type { Site } from '../instance/site.js';
import type { Terminal } from '../terminal/terminal.js';

export interface LogsOptions {
  /** All services when left out. */
  readonly service: string | undefined;
  readonly lines: number;
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/** Shows log files themselves, so that it also works after a crash of everything. */
export async function logs(site: Site, terminal: Terminal, options: LogsOptions): Promise<void> {
  const names = options.service === undefined ? allLogs(site) : [options.service];
  const width = Math.max(...names.map((name) => name.length));
  await Promise.all(
    names.map(async (name) => {
      for await (const line of tailLog(logOf(site, name), options)) {
        terminal.say(names.length === 1 ? line : `${name.padEnd(width)} | ${line}`);
      }
    }),
  );
}

function logOf(site: Site, name: string): string {
  const known = allLogs(site);
  if (!known.includes(name)) {
    throw new SanctumError(
      'not_found',
      `There is no log of ${name} in ${site.paths.logs}; there are: ${known.join(', ') || 'none'}.`,
    );
  }
  return join(site.paths.logs, `${name}.log`);
}

function allLogs({ paths }: Site): readonly string[] {
  return existsSync(paths.logs)
    ? readdirSync(paths.logs)
        .filter((file) => file.endsWith('.log'))
        .map((file) => file.slice(0, -'.log'.length))
        .sort()
    : [];
}
