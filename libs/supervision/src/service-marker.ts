import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { listProcesses, type ProcessEntry, type ProcessId } from '@sanctum/catalog';

const VARIABLE = 'SANCTUM_SUPERVISED';
const LINUX = process.platform === 'linux';

export interface MarkedService extends ProcessId {
  readonly name: string;
}

/**
 * What each child's environment says from its first instant: which service it is, and whose. A
 * supervisor that is killed before it has recorded a child is still known by it.
 */
export function serviceMarker(name: string, recordFile: string): Readonly<Record<string, string>> {
  return { [VARIABLE]: `${name}@${recordFile}` };
}

/** Leaders of the process groups whose members carry the mark of this record, dead ones included. */
export function findMarked(recordFile: string): readonly MarkedService[] {
  const table = listProcesses();
  const own = table.find(({ pid }) => pid === process.pid)?.group;
  const marked = new Map<number, MarkedService>();
  const names = LINUX ? undefined : marksFromPs(recordFile);
  for (const entry of table) {
    // Who asks may have been started by a service itself.
    if (entry.group === own || marked.has(entry.group)) continue;
    const name = names === undefined ? markFromProc(entry, recordFile) : names.get(entry.pid);
    if (name === undefined) continue;
    const leader = table.find(({ pid }) => pid === entry.group) ?? entry;
    marked.set(entry.group, { name, pid: entry.group, started: leader.started });
  }
  return [...marked.values()];
}

function markFromProc({ pid }: ProcessEntry, recordFile: string): string | undefined {
  let variables: readonly string[];
  try {
    variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    // Ended meanwhile, or of another user: not ours.
    return undefined;
  }
  const mark = variables.find((variable) => isMark(variable, recordFile));
  return mark?.slice(VARIABLE.length + 1, -recordFile.length - 1);
}

function isMark(variable: string, recordFile: string): boolean {
  return variable.startsWith(`${VARIABLE}=`) && variable.endsWith(`@${recordFile}`);
}

/** Where there is no /proc: ps shows the environment of one's own processes behind the command. */
function marksFromPs(recordFile: string): ReadonlyMap<number, string> {
  const text = execFileSync('ps', ['-axEww', '-o', 'pid=,command='], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  return parseMarks(text, recordFile);
}

export function parseMarks(text: string, recordFile: string): ReadonlyMap<number, string> {
  const marks = new Map<number, string>();
  for (const line of text.split('\n')) {
    const end = `${line} `.indexOf(`@${recordFile} `);
    const start = line.lastIndexOf(` ${VARIABLE}=`, end);
    if (end === -1 || start === -1) continue;
    marks.set(Number.parseInt(line, 10), line.slice(start + VARIABLE.length + 2, end));
  }
  return marks;
}
