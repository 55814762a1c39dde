import { watch, type FSWatcher } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { StringDecoder } from 'node:string_decoder';

export interface TailOptions {
  /** Lines from the end to begin with. */
  readonly lines: number;
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

const TAIL_BYTES_MAX = 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;

/**
 * The last lines of a log and, when following, each line as it is written; a rotation is followed.
 * Ends when the signal aborts.
 */
export async function* tailLog(file: string, options: TailOptions): AsyncGenerator<string> {
  const generation = await inodeOf(`${file}.1`);
  const end = await sizeOf(file);
  const from = Math.max(0, end - TAIL_BYTES_MAX);
  const splitter = new LineSplitter();
  const lines = splitter.push(await readRange(file, from, end));
  const whole = from > 0 ? lines.slice(1) : lines;
  yield* options.lines === 0 ? [] : whole.slice(-options.lines);
  if (options.follow) {
    yield* followLog(file, { position: end, generation, splitter, signal: options.signal });
  } else if (splitter.rest !== '' && options.lines > 0) {
    yield splitter.rest;
  }
}

async function* followLog(
  file: string,
  start: {
    position: number;
    /** Inode of the newest rotated file: another one after each rotation. */
    generation: number | undefined;
    splitter: LineSplitter;
    signal: AbortSignal;
  },
): AsyncGenerator<string> {
  let { position, generation } = start;
  const rotated = `${file}.1`;
  const changes = new ChangeSignal(file, start.signal);
  try {
    while (!start.signal.aborted) {
      const [now, size] = [await inodeOf(rotated), await sizeOf(file)];
      if (now !== generation) {
        const rotatedSize = await sizeOf(rotated);
        // Renamed and not truncated yet: the writers are held, and both say the same.
        if (size > 0 && size === rotatedSize) {
          await changes.next();
          continue;
        }
        // What was written between the last look and the rotation lies in the rotated file.
        yield* start.splitter.push(await readRange(rotated, position, rotatedSize));
        [position, generation] = [0, now];
        continue;
      }
      if (size <= position) {
        await changes.next();
        continue;
      }
      const end = Math.min(size, position + CHUNK_BYTES);
      const bytes = await readRange(file, position, end);
      // Rotated meanwhile: these bytes may be of another place.
      if ((await inodeOf(rotated)) !== generation) continue;
      yield* start.splitter.push(bytes);
      position = end;
    }
  } finally {
    changes.close();
  }
}

/** Whole lines out of byte ranges that may end inside a line or a character. */
class LineSplitter {
  readonly #decoder = new StringDecoder('utf8');
  rest = '';

  push(bytes: Buffer): readonly string[] {
    const lines = (this.rest + this.#decoder.write(bytes)).split('\n');
    this.rest = lines.pop() ?? '';
    return lines;
  }
}

/** Remembers a change that came between two waits, so that none is missed. */
class ChangeSignal {
  readonly #watcher: FSWatcher;
  readonly #abort: AbortSignal;
  #pending = false;
  #wake: (() => void) | undefined;

  constructor(file: string, abort: AbortSignal) {
    this.#abort = abort;
    this.#watcher = watch(dirname(file), (_, name) => {
      if (name === null || name === basename(file)) {
        this.#notify();
      }
    });
    abort.addEventListener('abort', this.#notify);
  }

  readonly #notify = (): void => {
    this.#pending = true;
    this.#wake?.();
  };

  async next(): Promise<void> {
    if (!this.#pending) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#pending = false;
  }

  close(): void {
    this.#abort.removeEventListener('abort', this.#notify);
    this.#watcher.close();
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch {
    return 0;
  }
}

async function inodeOf(file: string): Promise<number | undefined> {
  return stat(file).then(
    ({ ino }) => ino,
    () => undefined,
  );
}

async function readRange(file: string, from: number, to: number): Promise<Buffer> {
  if (to <= from) {
    return Buffer.alloc(0);
  }
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, 'r');
    const buffer = Buffer.alloc(to - from);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, from);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle?.close();
  }
}
