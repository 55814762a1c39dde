import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  AuditLog,
  listChains,
  readLines,
  verifyChains,
  type AuditData,
  type AuditLine,
  type ChainReport,
} from '@sanctum/audit';
import { withProcessLock } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import type { Site } from '../instance/site.js';
import type { Terminal } from '../terminal/terminal.js';

/** The chain of what the operator decides. */
const OPERATOR = 'sanctumctl';
/** For the turn of a command to write; one takes some milliseconds. */
const TURN_WAIT_MS = 30_000;

/** Checks every link and every anchor. Returns whether all hold. */
export async function auditVerify(
  site: Site,
  terminal: Terminal,
  options: { readonly service: string | undefined; readonly json: boolean },
): Promise<boolean> {
  const services = options.service === undefined ? undefined : [chainOf(site, options.service)];
  const reports = await verifyChains(site.paths.audit, services);
  const holds = reports.every(({ broken }) => broken === undefined);
  if (options.json) {
    terminal.say(JSON.stringify({ ok: holds, chains: reports }, null, 2));
    return holds;
  }
  if (reports.length === 0) terminal.say(`There is no audit in ${site.paths.audit} yet.`);
  for (const report of reports) terminal.say(describe(report, terminal));
  return holds;
}

export interface ReadRequest {
  readonly service: string | undefined;
  readonly json: boolean;
}

/** The last lines of one chain, or of all, by time. */
export async function auditTail(
  site: Site,
  terminal: Terminal,
  request: ReadRequest & { readonly lines: number },
): Promise<void> {
  const found: Entry[] = [];
  for (const service of chains(site, request.service)) {
    const last: Entry[] = [];
    for await (const line of readLines(join(site.paths.audit, service))) {
      last.push({ service, line });
      if (last.length > request.lines) last.shift();
    }
    found.push(...last);
  }
  found.sort((a, b) => (a.line.at < b.line.at ? -1 : Number(a.line.at > b.line.at)));
  if (request.lines === 0) return;
  for (const entry of found.slice(-request.lines)) say(terminal, entry, request.json);
}

/** Lines that hold a text or match a regular expression, oldest first. Returns whether any did. */
export async function auditGrep(
  site: Site,
  terminal: Terminal,
  request: ReadRequest & { readonly pattern: string },
): Promise<boolean> {
  const pattern = patternOf(request.pattern);
  let found = false;
  for (const service of chains(site, request.service)) {
    for await (const line of readLines(join(site.paths.audit, service))) {
      if (!pattern.test(JSON.stringify({ event: line.event, ...line.data, at: line.at }))) continue;
      found = true;
      say(terminal, { service, line }, request.json);
    }
  }
  return found;
}

/**
 * Writes down what the operator decided; durable when it resolves. Many commands may run at the same
 * moment, and a chain has one writer: they take turns. Throws `io`.
 */
export async function auditOperator(
  { paths }: Site,
  event: string,
  data: AuditData,
): Promise<void> {
  mkdirSync(paths.state, { recursive: true, mode: 0o700 });
  await withProcessLock(join(paths.state, 'operator-audit.lock'), TURN_WAIT_MS, async () => {
    const log = await AuditLog.open({ dir: join(paths.audit, OPERATOR) });
    try {
      await log.decide(event, data);
    } finally {
      await log.close();
    }
  });
}

interface Entry {
  readonly service: string;
  readonly line: AuditLine;
}

function say(terminal: Terminal, { service, line }: Entry, json: boolean): void {
  if (json) {
    terminal.say(JSON.stringify({ service, ...line }));
    return;
  }
  const data = Object.entries(line.data)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
  terminal.say(`${line.at}  ${service}  ${line.event}  ${data}`.trimEnd());
}

function describe(report: ChainReport, terminal: Terminal): string {
  const { service, lines, first, tornBytes, anchors, broken } = report;
  if (broken !== undefined) {
    const where = broken.line === 0 ? broken.file : `${broken.file}:${broken.line}`;
    return `${terminal.style('red', '✗')} ${service}  ${where}  ${broken.reason}`;
  }
  const notes = [
    `${lines} lines`,
    ...(first > 1 ? [`from number ${first}`] : []),
    anchors.last === undefined
      ? 'not anchored elsewhere yet'
      : `${anchors.held} anchors, the last ${anchors.last}`,
    ...(tornBytes > 0 ? [`${tornBytes} bytes unfinished`] : []),
  ];
  return `${terminal.style('green', '✓')} ${service}  ${notes.join(', ')}`;
}

function chains(site: Site, service: string | undefined): readonly string[] {
  return service === undefined ? listChains(site.paths.audit) : [chainOf(site, service)];
}

function chainOf(site: Site, service: string): string {
  const known = listChains(site.paths.audit);
  if (known.includes(service)) return service;
  throw new SanctumError(
    'not_found',
    `There is no audit of ${service} in ${site.paths.audit}; there are: ${known.join(', ') || 'none'}.`,
  );
}

function patternOf(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new SanctumError('invalid_request', `${text} is no regular expression.`, {
      cause: error,
    });
  }
}
