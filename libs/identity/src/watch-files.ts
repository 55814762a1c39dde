import { stat } from 'node:fs/promises';

export interface WatchFilesOptions {
  readonly paths: readonly string[];
  readonly pollMs?: number;
  /** Called once the files have been still for one poll; a rejection is tried again at the next. */
  readonly onChange: () => Promise<void>;
  /** Told of the first rejection of each change. */
  readonly onProblem: (error: unknown) => void;
}

export interface FileWatch {
  readonly paths: readonly string[];
  /** The {@link fileMark} of the files that were taken over last; of the first look at first. */
  readonly taken: string;
  /** Resolves when the files are known as they are: what is read after this is never missed. */
  readonly ready: Promise<void>;
  /** Looks at once, without waiting for the files to be still. */
  check(): Promise<void>;
  /** Nothing is called any more; an `onChange` that has begun goes on. */
  close(): void;
}

/** A change is noticed within two of these. */
export const WATCH_POLL_MS = 500;

/**
 * Notices that files were replaced, by asking for their times: a watch of the system's would be
 * lost with the file it was set on. Key and certificate are two renames, so a change is acted on
 * when nothing moved for one poll.
 */
export function watchFiles(options: WatchFilesOptions): FileWatch {
  const { paths, onChange, onProblem, pollMs = WATCH_POLL_MS } = options;
  let acted: string | undefined;
  let seen: string | undefined;
  let told: string | undefined;
  let running: Promise<void> | undefined;
  let isClosed = false;

  const look = async (patient: boolean): Promise<void> => {
    const now = await fileMark(paths);
    acted ??= now;
    const still = now === seen;
    seen = now;
    if (isClosed || now === acted || (patient && !still)) return;
    try {
      await onChange();
      acted = now;
    } catch (error) {
      if (told !== now) onProblem(error);
      told = now;
    }
  };
  const check = (patient: boolean): Promise<void> => {
    running ??= look(patient).finally(() => (running = undefined));
    return running;
  };
  const ready = check(true);
  const timer = setInterval(() => void check(true), pollMs);
  timer.unref();
  return {
    paths,
    get taken() {
      return acted ?? '';
    },
    ready,
    check: async () => {
      await running;
      await check(false);
    },
    close: () => {
      isClosed = true;
      clearInterval(timer);
    },
  };
}

/** Changes whenever one of the files is replaced, appears or goes. */
export async function fileMark(paths: readonly string[]): Promise<string> {
  const marks = await Promise.all(
    paths.map(async (path) => {
      try {
        const { ino, mtimeMs, size } = await stat(path);
        return `${ino} ${mtimeMs} ${size}`;
      } catch {
        return 'none';
      }
    }),
  );
  return marks.join('\n');
}
