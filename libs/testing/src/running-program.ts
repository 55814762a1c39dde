import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { plainEnvironment } from './env.js';

export interface ProgramOptions {
  readonly file: string;
  readonly args?: readonly string[];
  readonly cwd?: string;
  /** Replaces the environment; inherited when absent. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface ProgramExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const LINES_MAX = 10_000;
const WAIT_MS = 20_000;
const SOURCE_HOOKS = fileURLToPath(new URL('../src/source-register.mjs', import.meta.url));

/** Groups that are still running: whatever ends this process ends them first. */
const running = new Set<number>();
process.on('exit', () => {
  for (const pid of running) signalGroup(pid, 'SIGKILL');
});

/** A real program in a process group of its own, its lines, and its end. */
export class RunningProgram {
  /** Standard output and standard error, in the order they were read; the last 10,000 lines. */
  readonly lines: string[] = [];
  readonly exited: Promise<ProgramExit>;
  readonly #child: ChildProcess;
  readonly #events = new EventEmitter();
  #exit: ProgramExit | undefined;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#events.setMaxListeners(0);
    const outputs = [child.stdout, child.stderr].flatMap((stream) => stream ?? []);
    const drained = Promise.all(outputs.map((stream) => this.#read(stream)));
    this.exited = this.#awaitExit(drained);
  }

  /** Rejects when the file cannot be run. */
  static async start(options: ProgramOptions): Promise<RunningProgram> {
    const child = spawn(options.file, options.args ?? [], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: plainEnvironment(options.env),
    });
    const program = new RunningProgram(child);
    await once(child, 'spawn');
    running.add(program.pid);
    return program;
  }

  /** Runs a TypeScript file as it lies in the source tree, its workspace imports included. */
  static startSource(
    entry: string,
    options: Omit<ProgramOptions, 'file'> = {},
  ): Promise<RunningProgram> {
    const hooks = ['--conditions=@sanctum/source', '--no-warnings', `--import=${SOURCE_HOOKS}`];
    const args = [...hooks, entry, ...(options.args ?? [])];
    return RunningProgram.start({ ...options, file: process.execPath, args });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get alive(): boolean {
    return this.#exit === undefined;
  }

  /** A line that is there or comes; rejects with what was said when it does not come in time. */
  async line(matches: (line: string) => boolean, timeoutMs = WAIT_MS): Promise<string> {
    const deadline = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const found = this.lines.find(matches);
      if (found !== undefined) return found;
      if (!this.alive || deadline.aborted) {
        throw new Error(`no such line; it said:\n${this.lines.slice(-30).join('\n')}`);
      }
      await once(this.#events, 'change', { signal: deadline }).catch(() => undefined);
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** SIGTERM, and SIGKILL to the whole group when that does not end it in time. */
  async stop(timeoutMs = WAIT_MS): Promise<ProgramExit> {
    this.signal('SIGTERM');
    const timeout = setTimeout(() => signalGroup(this.pid, 'SIGKILL'), timeoutMs);
    const exit = await this.exited;
    clearTimeout(timeout);
    return exit;
  }

  async kill(): Promise<ProgramExit> {
    // Of one that has ended the system may have given the number to another.
    if (this.alive) signalGroup(this.pid, 'SIGKILL');
    return this.exited;
  }

  async #read(stream: Readable): Promise<void> {
    for await (const line of createInterface({ input: stream })) {
      this.lines.push(line);
      if (this.lines.length > LINES_MAX) this.lines.shift();
      this.#events.emit('change');
    }
  }

  async #awaitExit(drained: Promise<unknown>): Promise<ProgramExit> {
    const exit = await new Promise<ProgramExit>((resolve) => {
      this.#child.once('error', () => resolve({ code: 127, signal: null }));
      this.#child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    // Children it left behind hold its pipes open; the group goes as a whole.
    signalGroup(this.pid, 'SIGKILL');
    running.delete(this.pid);
    await drained;
    this.#exit = exit;
    this.#events.emit('change');
    return exit;
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  if (pid <= 1) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone, which is what was asked for.
  }
}
