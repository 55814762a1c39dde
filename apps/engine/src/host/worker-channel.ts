import { fork, type ChildProcess } from 'node:child_process';
import type { OpenFile } from '@sanctum/manifest';
import type { InheritedFile, MainMessage, WorkerMessage } from '../protocol.js';

/** How a worker process ended. */
export interface WorkerExit {
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
}

export interface WorkerChannelOptions {
  readonly program: string;
  /** Verified files; the worker gets their descriptors, not their names. */
  readonly files: readonly OpenFile[];
  readonly onMessage: (message: WorkerMessage) => void;
  /** What Node's watch mode sends through the channel: the files that the worker imports. */
  readonly onForeignMessage?: (message: object) => void;
  readonly onExit: (exit: WorkerExit) => void;
}

/** Descriptors 0 to 2 are the standard ones, 3 is the channel. */
const FIRST_FILE_FD = 4;
/** Where `stdout` of the worker goes: standard output belongs to the main process's log. */
const STDERR = 2;

/** One worker process and the typed messages to and from it. Nothing is heard after `onExit`. */
export class WorkerChannel {
  readonly inherited: readonly InheritedFile[];
  /** Resolves after `onExit`. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  #exited = false;

  constructor(options: WorkerChannelOptions) {
    const { program, files, onMessage, onForeignMessage, onExit } = options;
    this.inherited = files.map(({ name, size }, index) => ({
      name,
      size,
      fd: FIRST_FILE_FD + index,
    }));
    this.#child = fork(program, [], {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', STDERR, STDERR, 'ipc', ...files.map(({ fd }) => fd)],
    });
    this.#child.on('message', (message) => {
      if (isWorkerMessage(message)) onMessage(message);
      else if (typeof message === 'object') onForeignMessage?.(message);
    });
    let resolveEnded = (): void => undefined;
    this.ended = new Promise((resolve) => (resolveEnded = resolve));
    const end = (exit: WorkerExit): void => {
      if (this.#exited) return;
      this.#exited = true;
      onExit(exit);
      resolveEnded();
    };
    // Not `exit`, which may come before the worker's last words: they say why it went.
    this.#child.once('close', (code: number | null, signal: NodeJS.Signals | null) => {
      end({ code: code ?? undefined, signal: signal ?? undefined });
    });
    // A fork that fails, or a channel that breaks, is an end like any other.
    this.#child.on('error', () => {
      this.kill();
      if (this.#child.pid === undefined) end({ code: undefined, signal: undefined });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** A message to a worker that is gone is dropped: its end is told by `onExit`. */
  send(message: MainMessage): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

function isWorkerMessage(message: unknown): message is WorkerMessage {
  return (
    typeof message === 'object' &&
    message !== null &&
    'type' in message &&
    typeof message.type === 'string'
  );
}
