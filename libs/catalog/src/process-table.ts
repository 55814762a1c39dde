import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';

/** One live process. Two processes never share both pid and `started`. */
export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  /** Opaque: compare for equality only. Names the boot on Linux, so it survives no restart. */
  readonly started: string;
}

/** A process that can be told from a later one with the same pid. */
export interface ProcessId {
  readonly pid: number;
  readonly started: string;
}

const LINUX = process.platform === 'linux';
const ZOMBIE = 'Z';

/** All live processes; a zombie counts as dead. */
export function listProcesses(): readonly ProcessEntry[] {
  return LINUX ? listFromProc() : listFromPs();
}

/** The live process with this pid, or undefined. */
export function findProcess(pid: number): ProcessEntry | undefined {
  return LINUX ? readProc(pid, bootId()) : listFromPs().find((entry) => entry.pid === pid);
}

/** Whether exactly this process still lives. */
export function isAlive(id: ProcessId): boolean {
  return findProcess(id.pid)?.started === id.started;
}

/**
 * Pids of a process group that `leader` made by setsid, the leader first. When the leader's pid
 * belongs to another process by now the group is gone: the system reuses no pid that still names
 * a group.
 */
export function groupMembers(leader: ProcessId): readonly number[] {
  const table = listProcesses();
  const holder = table.find((entry) => entry.pid === leader.pid);
  const replaced = holder !== undefined && holder.started !== leader.started;
  if (replaced || !sameBoot(leader)) {
    return [];
  }
  return table
    .filter((entry) => entry.group === leader.pid)
    .map((entry) => entry.pid)
    .sort((a, b) => Number(b === leader.pid) - Number(a === leader.pid) || a - b);
}

/** Inode of the program a process runs, where the system shows it. */
export function programInode(pid: number): number | null {
  try {
    return statSync(`/proc/${pid}/exe`).ino;
  } catch {
    return null;
  }
}

/** Name and arguments of a process, or undefined when it is gone or hidden. */
export function commandOf(pid: number): string | undefined {
  try {
    const text = LINUX
      ? readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      : execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
    return text.trim() || undefined;
  } catch {
    return undefined;
  }
}

function sameBoot(id: ProcessId): boolean {
  return !LINUX || id.started.startsWith(`${bootId()}:`);
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

function listFromProc(): readonly ProcessEntry[] {
  const boot = bootId();
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readProc(Number(name), boot) ?? []);
}

function readProc(pid: number, boot: string): ProcessEntry | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The second field is the program's name in parentheses and may itself hold ") ".
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, parent, group] = fields;
  const ticks = fields[19];
  return state === ZOMBIE || ticks === undefined
    ? undefined
    : { pid, parent: Number(parent), group: Number(group), started: `${boot}:${ticks}` };
}

/** Where there is no /proc; start times are whole seconds there. */
export function listFromPs(): readonly ProcessEntry[] {
  const text = execFileSync('ps', ['-axo', 'pid=,ppid=,pgid=,stat=,lstart='], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    // Start times are compared between processes and over years: in one language and time zone.
    env: { LC_ALL: 'C', TZ: 'UTC', PATH: '/bin:/usr/bin' },
  });
  return text.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.+)$/.exec(line);
    const [, pid, parent, group, state, started] = match ?? [];
    return started === undefined || state?.startsWith(ZOMBIE) === true
      ? []
      : [
          {
            pid: Number(pid),
            parent: Number(parent),
            group: Number(group),
            started: started.trim(),
          },
        ];
  });
}
