import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

export const checkout = path.resolve(import.meta.dirname, '../../..');

export interface ServiceStatus {
  readonly name: string;
  readonly pid: number | null;
  readonly pids: readonly number[];
  readonly state: string;
  readonly healthy: boolean;
  readonly url: string | null;
}

export interface InstanceStatus {
  readonly home: string;
  readonly services: readonly ServiceStatus[];
  readonly model: { readonly id: string; readonly digest: string };
}

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A whole Sanctum in a home of its own, driven through the operator's command. */
export class Instance {
  private constructor(readonly home: string) {}

  static async create(): Promise<Instance> {
    return new Instance(await mkdtemp(path.join(os.tmpdir(), 'sanctum-e2e-')));
  }

  async up(...flags: string[]): Promise<CommandResult> {
    return this.run('up', '--detach', '--yes', '--ports', 'auto', ...flags);
  }

  /** Runs `sanctumctl <args> --home <home>` from its bundle. */
  async run(...args: string[]): Promise<CommandResult> {
    const main = path.join(checkout, 'apps/sanctumctl/dist/bundle/main.mjs');
    return runProgram(process.execPath, [main, ...args, '--home', this.home]);
  }

  async status(): Promise<InstanceStatus> {
    const { stdout } = await this.run('status', '--json');
    return JSON.parse(stdout) as InstanceStatus;
  }

  async service(name: string): Promise<ServiceStatus> {
    const found = (await this.status()).services.find((service) => service.name === name);
    if (!found) throw new Error(`no service ${name} in the status of ${this.home}`);
    return found;
  }

  async url(name: string): Promise<string> {
    const { url } = await this.service(name);
    if (url === null) throw new Error(`service ${name} has no url`);
    return url;
  }

  /** Stops everything and returns the processes that still name this home: there must be none. */
  async destroy(): Promise<number[]> {
    await this.run('down');
    const left = await processesNaming(this.home);
    for (const pid of left) process.kill(pid, 'SIGKILL');
    await rm(this.home, { recursive: true, force: true });
    return left;
  }
}

/** Kills a service's processes, as its status names them; the first last: without it they all end. */
export function killAll(pids: readonly number[]): void {
  for (const pid of pids.toReversed()) process.kill(pid, 'SIGKILL');
}

/** On Linux. */
export async function parentOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^PPid:\t(\d+)$/m.exec(status)?.[1]);
}

export function runProgram(file: string, args: readonly string[]): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: checkout, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** Processes whose command line or environment names `needle`, on Linux. */
export async function processesNaming(needle: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const named = await Promise.all(
    pids.map(async (pid) => {
      const texts = await Promise.all([readProc(pid, 'cmdline'), readProc(pid, 'environ')]);
      return pid !== process.pid && texts.some((text) => text.includes(needle));
    }),
  );
  return pids.filter((_, index) => named[index]);
}

/** Empty for a process that has ended meanwhile. */
async function readProc(pid: number, file: string): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, 'latin1').catch(() => '');
}
