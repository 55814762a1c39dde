import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SanctumError } from '@sanctum/errors';

const LIBRARY_FILE = 'libsanctum_cpu.so';

/** The file to load: `path` as given, `native/` beside the bundle, or the newest build. */
export function findLibrary(path?: string): string {
  if (path !== undefined) {
    if (existsSync(path)) return path;
    throw new SanctumError('prerequisite_missing', `There is no native library at ${path}.`);
  }
  const here = dirname(fileURLToPath(import.meta.url));
  const found =
    [join(here, 'native', LIBRARY_FILE)].find((file) => existsSync(file)) ??
    newestBuild(join(here, '..', 'build')) ??
    newestBuild(join(here, '..', '..', 'build'));
  if (found !== undefined) return found;
  throw new SanctumError(
    'prerequisite_missing',
    `No ${LIBRARY_FILE} was found beside ${here}. Build it: node libs/kernels/scripts/build-native.mjs`,
  );
}

function newestBuild(folder: string): string | undefined {
  if (!existsSync(folder)) return undefined;
  return readdirSync(folder)
    .map((name) => join(folder, name, LIBRARY_FILE))
    .filter((file) => existsSync(file))
    .map((file) => ({ file, builtAtMs: statSync(file).mtimeMs }))
    .sort((a, b) => b.builtAtMs - a.builtAtMs)[0]?.file;
}
