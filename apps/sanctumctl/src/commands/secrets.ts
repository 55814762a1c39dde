import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  createHome,
  loadInstance,
  readSecrets,
  SECRET_BYTES_MAX,
  secretNames,
  writeFileAtomic,
} from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import type { Site } from '../instance/site.js';
import type { Terminal } from '../terminal/terminal.js';
import { auditOperator } from './audit.js';

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

/** Which keys instance.yaml names and where each comes from; never a value. */
export function secretsList(
  site: Site,
  terminal: Terminal,
  options: { readonly json: boolean },
): void {
  const named = existsSync(site.paths.instanceFile)
    ? secretNames(loadInstance(site.paths.instanceFile))
    : [];
  const files = existsSync(site.paths.secrets)
    ? readdirSync(site.paths.secrets).filter((name) => NAME.test(name))
    : [];
  const rows = [...new Set([...named, ...files])].sort().map((name) => ({
    name,
    named: named.includes(name),
    source: sourceOf(site, name),
  }));
  if (options.json) {
    terminal.say(JSON.stringify(rows, null, 2));
    return;
  }
  terminal.table([
    ['name', 'named in instance.yaml', 'comes from'],
    ...rows.map(({ name, named: used, source }) => [name, used ? 'yes' : 'no', source]),
  ]);
}

/** Writes `secrets/<NAME>`, 0600, from standard input: a key on a command line is seen by all. */
export async function secretsSet(
  site: Site,
  terminal: Terminal,
  request: { readonly name: string; readonly input: AsyncIterable<Buffer | string> },
): Promise<void> {
  const name = checkedName(request.name);
  let text = '';
  for await (const piece of request.input) {
    text += String(piece);
    if (text.length > SECRET_BYTES_MAX) {
      throw new SanctumError('invalid_request', `A secret has at most ${SECRET_BYTES_MAX} bytes.`);
    }
  }
  if (!/^[\x21-\x7e][\x20-\x7e]*$/.test(text.trim())) {
    throw new SanctumError(
      'invalid_request',
      'Expected one line of printable characters on standard input.',
    );
  }
  createHome(site.paths.home);
  await auditOperator(site, 'secret_written', { name });
  writeFileAtomic(join(site.paths.secrets, name), `${text.trim()}\n`);
  terminal.say(`${join(site.paths.secrets, name)}  (restart the router to use it)`);
}

export async function secretsRemove(site: Site, terminal: Terminal, name: string): Promise<void> {
  const file = join(site.paths.secrets, checkedName(name));
  if (!existsSync(file)) throw new SanctumError('not_found', `There is no ${file}.`);
  await auditOperator(site, 'secret_removed', { name });
  rmSync(file);
  terminal.say(`removed  ${file}`);
}

function sourceOf(site: Site, name: string): string {
  const file = join(site.paths.secrets, name);
  if (!existsSync(file)) {
    return site.environment.inherited[name] === undefined ? 'nowhere' : 'the environment';
  }
  if ((statSync(file).mode & 0o077) !== 0) return `${file} (others may read it: chmod 600)`;
  readSecrets(site.paths, [name]);
  return file;
}

function checkedName(name: string): string {
  if (NAME.test(name)) return name;
  throw new SanctumError(
    'invalid_request',
    `${JSON.stringify(name.slice(0, 128))} is no name of an environment variable.`,
  );
}
