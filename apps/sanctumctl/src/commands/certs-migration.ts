import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, loadInstance } from '@sanctum/catalog';
import {
  migrationReport,
  readTransportRecord,
  WATCHED_DAYS,
  type BearerVerdict,
} from '@sanctum/identity';
import { takesBearer } from '../instance/council-token.js';
import { retirementSteps } from '../instance/retire-bearer.js';
import type { Site } from '../instance/site.js';
import type { Terminal } from '../terminal/terminal.js';

/** Who came in how over seven days, and whether the bearer token may be retired. */
export async function certsMigration(
  site: Site,
  terminal: Terminal,
  options: { readonly json: boolean },
): Promise<void> {
  const folder = join(site.paths.state, 'transport');
  const records = await readRecords(folder);
  const report = migrationReport(records, new Date());
  if (options.json) {
    terminal.say(JSON.stringify(report, null, 2));
    return;
  }
  const { rows, bearer } = report;
  if (rows.length === 0) terminal.say(`No request was counted in the last ${WATCHED_DAYS} days.`);
  else {
    terminal.table([
      ['service', 'transport', 'identity', 'requests', 'last'],
      ...rows.map(({ service, transport, identity, count, last }) => [
        service,
        transport,
        identity === '' ? '-' : identity,
        String(count),
        last,
      ]),
    ]);
  }
  sayVerdict(site, terminal, bearer);
}

function sayVerdict({ paths }: Site, terminal: Terminal, bearer: BearerVerdict): void {
  const instance = loadInstance(paths.instanceFile);
  if (!takesBearer(instance)) {
    terminal.say('Bearer is retired: no listener takes a token.');
    return;
  }
  if (!bearer.retire) {
    terminal.say(`Bearer stays: ${bearer.reason}. Not before ${bearer.notBefore}.`);
    return;
  }
  terminal.say(
    `Bearer may be retired: nobody beyond this machine used it for ${WATCHED_DAYS} days. This ends it:`,
  );
  retirementSteps(paths, instance).forEach((step, index) =>
    terminal.say(`  ${index + 1}. ${step}`),
  );
}

async function readRecords(folder: string) {
  const names = listFolder(folder).filter((name) => name.endsWith('.json') && name[0] !== '.');
  const entries = await Promise.all(
    names.map(async (name) => {
      const record = await readTransportRecord(join(folder, name));
      return record === undefined ? [] : [[name.replace(/\.json$/, ''), record] as const];
    }),
  );
  return Object.fromEntries(entries.flat());
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
