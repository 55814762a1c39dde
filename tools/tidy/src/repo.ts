import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface RepoFile {
  /** Path from the repository root, with `/`. */
  readonly path: string;
  readonly text: string;
}

export interface Repo {
  readonly files: readonly RepoFile[];
  /** Every tracked path, files that are not text included. */
  readonly paths: ReadonlySet<string>;
}

const TEXT = /\.(ts|mts|mjs|cjs|js|json|md|yaml|yml|cpp|h|hpp|py|sh|txt|cmake)$|(^|\/)[^.]+$/;
const DATA = /^(libs\/[a-z-]+\/fixtures\/|deploy\/models\/|package-lock\.json)/;

/** Tracked and untracked-but-not-ignored files of the checkout; the contents of source and text. */
export function readRepo(root: string): Repo {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 16 << 20,
  });
  // A file deleted in the work tree is still listed by git; it has nothing to check.
  const paths = [...new Set(listed.split('\n').filter(Boolean))].filter((name) =>
    existsSync(path.join(root, name)),
  );
  const files = paths
    .filter((name) => TEXT.test(name) && !DATA.test(name))
    .flatMap((name) => {
      const text = tryRead(path.join(root, name));
      return text === undefined ? [] : [{ path: name, text }];
    });
  return { files, paths: new Set(paths) };
}

/** Undefined for a file that went since it was listed: others work in the checkout meanwhile. */
function tryRead(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
