import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isNode, LineCounter, parseDocument, type Document } from 'yaml';
import { messageOf, SanctumError } from '@sanctum/errors';
import { homePaths } from './home-paths.js';
import { describeIssues, type Path } from './instance-issues.js';
import { instanceSchema, SERVICE_ALIASES, type Instance } from './instance-schema.js';
import { applyPorts, readPorts } from './ports.js';

/** Longest accepted instance.yaml. */
export const INSTANCE_BYTES_MAX = 1_048_576;
/** YAML aliases expanded before the file counts as an attack. */
const ALIASES_MAX = 100;

/**
 * Reads and checks instance.yaml. Ports recorded beside it by `up --ports auto` replace those in
 * the file, also in backend URLs that point at a service of this instance.
 *
 * @throws SanctumError `config_invalid`: every problem with line, path, expected and found
 */
export function loadInstance(file: string): Instance {
  const path = resolve(file);
  const instance = parseInstance(readLimited(path), path);
  const recorded = readPorts(homePaths(dirname(path)).portsFile);
  return recorded === undefined ? instance : applyPorts(instance, recorded);
}

/** Checks the text of an instance.yaml that lies (or will lie) at `file`. */
export function parseInstance(text: string, file: string): Instance {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [syntax] = document.errors;
  if (syntax !== undefined) {
    const { line } = lines.linePos(syntax.pos[0]);
    throw invalid(file, [`line ${line}: ${syntax.message}`]);
  }
  const raw = plain(document, file);
  const lineOf = (at: Path) => lineOfPath(document, lines, at);
  const { value, spelled } = canonicalNames(raw, (problem, at) => {
    throw invalid(file, [`line ${lineOf(at)}: ${problem}`]);
  });
  const parsed = instanceSchema(dirname(file)).safeParse(value);
  if (!parsed.success) {
    throw invalid(file, describeIssues(parsed.error.issues, { value, spelled, lineOf }));
  }
  return parsed.data;
}

function plain(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (error) {
    throw invalid(file, [messageOf(error)]);
  }
}

function readLimited(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > INSTANCE_BYTES_MAX) {
      throw invalid(path, [`the file has ${size} bytes; at most ${INSTANCE_BYTES_MAX} are read`]);
    }
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof SanctumError) {
      throw error;
    }
    throw new SanctumError(
      'config_invalid',
      `${path} cannot be read (${messageOf(error)}). ` +
        'Make one with `sanctumctl up`, or name another home with --home.',
      { cause: error, param: path },
    );
  }
}

/** Renames accepted aliases to the canonical service names; both at once is an error. */
function canonicalNames(
  raw: unknown,
  refuse: (problem: string, at: Path) => never,
): { value: unknown; spelled: (path: Path) => Path } {
  const services = isRecord(raw) ? raw['services'] : undefined;
  if (!isRecord(raw) || !isRecord(services)) {
    return { value: raw, spelled: (path) => path };
  }
  const renamed = { ...services };
  const written = new Map<PropertyKey, string>();
  for (const [name, alias] of Object.entries(SERVICE_ALIASES)) {
    if (!Object.hasOwn(services, alias)) {
      continue;
    }
    if (Object.hasOwn(services, name)) {
      refuse(
        `services.${alias} is another name of services.${name}: expected one of them, found both`,
        ['services', alias],
      );
    }
    renamed[name] = services[alias];
    written.set(name, alias);
    Reflect.deleteProperty(renamed, alias);
  }
  const spelled = (path: Path): Path =>
    path.map((key, index) =>
      index === 1 && path[0] === 'services' ? (written.get(key) ?? key) : key,
    );
  return { value: { ...raw, services: renamed }, spelled };
}

/** The line a path stands on, or the nearest line above it that exists. */
function lineOfPath(document: Document, lines: LineCounter, path: Path): number {
  for (let length = path.length; length > 0; length -= 1) {
    const parent: unknown = document.getIn(path.slice(0, length - 1), true) ?? document.contents;
    const offset = keyOffset(parent, path[length - 1]);
    if (offset !== undefined) {
      return lines.linePos(offset).line;
    }
  }
  return 1;
}

function keyOffset(parent: unknown, key: PropertyKey | undefined): number | undefined {
  if (!isRecord(parent) || !Array.isArray(parent['items'])) {
    return undefined;
  }
  const items: unknown[] = parent['items'];
  if (typeof key === 'number') {
    return startOf(items[key]);
  }
  const pair = items.find(
    (item) => isRecord(item) && isRecord(item['key']) && String(item['key']['value']) === key,
  );
  return isRecord(pair) ? startOf(pair['key']) : undefined;
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function invalid(file: string, problems: readonly string[]): SanctumError {
  return new SanctumError('config_invalid', `${file} is invalid:\n  ${problems.join('\n  ')}`, {
    param: file,
  });
}
