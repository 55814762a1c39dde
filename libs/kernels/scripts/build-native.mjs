// Builds libsanctum_cpu.so into build/<digest of the sources>/ unless it is there, and prints its
// path. Needs cmake and g++ or clang++; nothing from node_modules.
// Usage: node scripts/build-native.mjs [--sanitize]
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, utimes } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const project = dirname(dirname(fileURLToPath(import.meta.url)));
const native = join(project, 'native');
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

async function sourceFiles(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && /\.(cpp|hpp|h|txt)$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

async function digestOf(files) {
  const hash = createHash('sha256').update(`${process.platform}-${process.arch}\n`);
  for (const file of files) {
    hash.update(`${relative(native, file)}\n`).update(await readFile(file));
  }
  return hash.digest('hex').slice(0, 16);
}

async function command(name, args) {
  try {
    await run(name, args, { maxBuffer: OUTPUT_BYTES_MAX });
  } catch (cause) {
    if (cause.code === 'ENOENT') {
      throw new Error(`${name} is not installed; install cmake and g++ (or clang++).`, { cause });
    }
    throw new Error(`${name} failed:\n${cause.stdout ?? ''}${cause.stderr ?? ''}`, { cause });
  }
}

/** Returns the path of the built file, building it if it is not there yet. */
export async function buildNative({ sanitize = false } = {}) {
  const digest = await digestOf(await sourceFiles(native));
  const file = sanitize ? 'sanctum_fuzz' : 'libsanctum_cpu.so';
  const folder = join(project, 'build', sanitize ? `${digest}-sanitize` : digest);
  const target = join(folder, file);
  if (existsSync(target)) {
    const now = new Date();
    await utimes(target, now, now); // openKernels takes the newest
    return target;
  }
  await mkdir(join(project, 'build'), { recursive: true });
  const work = await mkdtemp(join(project, 'build', 'work-'));
  try {
    const options = [`-DSANCTUM_SANITIZE=${sanitize ? 'ON' : 'OFF'}`, '-DCMAKE_BUILD_TYPE=Release'];
    await command('cmake', ['-S', native, '-B', work, ...options]);
    await command('cmake', ['--build', work, '--parallel', String(availableParallelism())]);
    await mkdir(folder, { recursive: true });
    await rename(join(work, file), target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return target;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(await buildNative({ sanitize: process.argv.includes('--sanitize') }));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
