import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { commandOf, errnoOf } from '@sanctum/catalog';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface PortHolder {
  readonly pid: number;
  readonly command: string;
}

const LISTEN = '0A';
const LSOF_TIMEOUT_MS = 5_000;

/** Whether a listener could bind this address now. */
export async function isPortFree(host: string, port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EADDRINUSE' || errnoOf(error) === 'EACCES') {
      return false;
    }
    throw error;
  }
}

/** The process that listens on a TCP port, where the system lets this user see it. */
export function findPortHolder(port: number): PortHolder | undefined {
  const pid = holderFromProc(port) ?? holderFromLsof(port);
  return pid === undefined ? undefined : { pid, command: commandOf(pid) ?? 'unknown program' };
}

function holderFromProc(port: number): number | undefined {
  const inodes = new Set(
    ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => listeners(table, port)),
  );
  if (inodes.size === 0) {
    return undefined;
  }
  return readdirOrEmpty('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => readdirOrEmpty(`/proc/${pid}/fd`).some((fd) => inodes.has(socketOf(pid, fd))));
}

/** Socket inodes of listeners in a `/proc/net/tcp` table, as `socket:[inode]`. */
function listeners(table: string, port: number): readonly string[] {
  let text: string;
  try {
    text = readFileSync(table, 'utf8');
  } catch {
    return [];
  }
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return text.split('\n').flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    return fields[1]?.endsWith(suffix) === true && fields[3] === LISTEN
      ? [`socket:[${fields[9] ?? ''}]`]
      : [];
  });
}

function socketOf(pid: number, descriptor: string): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${descriptor}`);
  } catch {
    return '';
  }
}

function holderFromLsof(port: number): number | undefined {
  try {
    const text = execFileSync('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-t'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: LSOF_TIMEOUT_MS,
    });
    const pid = Number(text.split('\n')[0]);
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function readdirOrEmpty(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
