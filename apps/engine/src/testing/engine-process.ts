import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { waitUntil } from '@sanctum/testing';
import { inheritedEnvironment } from '../env.js';

const PROGRAM = fileURLToPath(new URL('../../out-tsc/lib/main.js', import.meta.url));

export interface LogLine {
  readonly msg: string;
  readonly level?: string;
  readonly [field: string]: unknown;
}

interface Address {
  readonly name: string;
  readonly url: string;
  readonly port: number;
}

export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** An engine as the operator runs it: its own process, its log, its exit. */
export class EngineProcess {
  readonly child: ChildProcess;
  readonly lines: LogLine[] = [];
  readonly exited: Promise<ExitStatus>;
  stderr = '';
  #waiting: {
    readonly matches: (line: LogLine) => boolean;
    readonly resolve: (line: LogLine) => void;
  }[] = [];

  private constructor(flags: readonly string[], environment: Record<string, string>) {
    this.child = spawn(process.execPath, [PROGRAM, ...flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...inheritedEnvironment(), NODE_OPTIONS: '', ...environment },
    });
    this.exited = once(this.child, 'close').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
    }));
    const { stdout, stderr } = this.child;
    if (stdout === null || stderr === null) throw new Error('the engine has no pipes');
    createInterface({ input: stdout }).on('line', (line) => this.#hear(line));
    stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
  }

  static spawn(flags: readonly string[], environment: Record<string, string> = {}): EngineProcess {
    return new EngineProcess(flags, environment);
  }

  /** Starts an engine and waits until it serves. */
  static async start(
    flags: readonly string[],
    environment: Record<string, string> = {},
  ): Promise<EngineProcess> {
    const engine = EngineProcess.spawn(flags, environment);
    const died = engine.exited.then(({ code }) => {
      throw new Error(`the engine exited with ${code ?? 'a signal'}: ${engine.stderr}`);
    });
    await Promise.race([engine.line('ready'), died]);
    return engine;
  }

  /** The first log line with this message, of this request if named, now or later. */
  line(msg: string, requestId?: string): Promise<LogLine> {
    const matches = (line: LogLine): boolean =>
      line.msg === msg && (requestId === undefined || line['requestId'] === requestId);
    const known = this.lines.find(matches);
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve) => this.#waiting.push({ matches, resolve }));
  }

  address(name: string): Address {
    const ready = this.lines.find(({ msg }) => msg === 'ready');
    const addresses = (ready?.['addresses'] ?? []) as readonly Address[];
    const found = addresses.find((address) => address.name === name);
    if (found === undefined) throw new Error(`the engine has no listener ${name}`);
    return found;
  }

  get url(): string {
    return this.address('plain').url;
  }

  async workerPid(): Promise<number> {
    const response = await fetch(`${this.url}/health/ready`);
    const { worker } = (await response.json()) as { worker: { pid: number } };
    return worker.pid;
  }

  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1));
  }

  /** Keeps the worker from computing until the function returned is called. */
  async holdWorker(): Promise<() => void> {
    const pid = await this.workerPid();
    process.kill(pid, 'SIGSTOP');
    return () => process.kill(pid, 'SIGCONT');
  }

  /** Waits until a metric has a value. */
  async reaches(name: string, value: number): Promise<void> {
    const isThere = async () => (await this.metric(name)) === value;
    await waitUntil(isThere, { what: `${name} is ${value}` });
  }

  /** Waits until so many requests have been taken and not ended. */
  openRequests(count: number): Promise<void> {
    return this.reaches('sanctum_mlx_open_requests', count);
  }

  /** As a supervisor stops it. */
  async stop(): Promise<ExitStatus> {
    this.child.kill('SIGTERM');
    return this.exited;
  }

  #hear(text: string): void {
    const line = JSON.parse(text) as LogLine;
    this.lines.push(line);
    const heard = this.#waiting.filter(({ matches }) => matches(line));
    this.#waiting = this.#waiting.filter((waiter) => !heard.includes(waiter));
    for (const { resolve } of heard) resolve(line);
  }
}

/** The environment of an engine whose workers load nothing for as long as `file` is there. */
export function holdLoadsBy(file: string): Record<string, string> {
  const program = `
    import { existsSync } from 'node:fs';
    const never = new Int32Array(new SharedArrayBuffer(4));
    const isWorker = process.send !== undefined;
    while (isWorker && existsSync(${JSON.stringify(file)})) Atomics.wait(never, 0, 0, 10);
  `;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(program)}` };
}

/** The objects of a server-sent event stream, and whether it ended with `[DONE]`. */
export interface SseTranscript {
  readonly events: readonly Record<string, unknown>[];
  readonly done: boolean;
}

export function parseSse(text: string): SseTranscript {
  const data = text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice(6));
  const done = data.at(-1) === '[DONE]';
  const objects = done ? data.slice(0, -1) : data;
  return { done, events: objects.map((object) => JSON.parse(object) as Record<string, unknown>) };
}

/** A stream read as it comes. */
export class SseReader {
  text = '';
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();

  constructor(response: Response) {
    if (response.body === null) throw new Error('the answer has no body');
    this.#reader = response.body.getReader();
  }

  /** Reads until `count` events have come. */
  async events(count: number): Promise<void> {
    while (this.text.split('\n\n').length <= count && (await this.#read()));
  }

  async rest(): Promise<SseTranscript> {
    while (await this.#read());
    return parseSse(this.text);
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }

  async #read(): Promise<boolean> {
    const { value, done } = await this.#reader.read();
    if (value !== undefined) this.text += this.#decoder.decode(value, { stream: true });
    return !done;
  }
}

export interface ChatWish {
  readonly [field: string]: unknown;
}

/** Asks for a chat answer; `ignore_eos` and `max_tokens` make it as long as a test needs. */
export function chat(url: string, wish: ChatWish = {}, init: RequestInit = {}): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'padawan',
      temperature: 0,
      messages: [{ role: 'user', content: 'What is 2+2? Respond with only the number.' }],
      ...wish,
    }),
    ...init,
  });
}
