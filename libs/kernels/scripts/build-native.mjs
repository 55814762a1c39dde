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

const LIBRARY_FILE = 'libsanctum_cpu.so';
const ARM64 = [
  '-DCMAKE_SYSTEM_NAME=Linux',
  '-DCMAKE_SYSTEM_PROCESSOR=aarch64',
  '-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++',
];

/**
 * What can be built: the files, the one to return first. Only the library lies where openKernels
 * looks for it.
 */
const VARIANTS = {
  library: { folder: '', suffix: '', files: [LIBRARY_FILE], options: [] },
  sanitize: {
    ...{ folder: '', suffix: '-sanitize', files: ['sanctum_fuzz', 'sanctum_threads'] },
    options: ['-DSANCTUM_SANITIZE=ON'],
  },
  'same-bits': {
    ...{ folder: 'same-bits', suffix: '', files: ['sanctum_same_bits', LIBRARY_FILE] },
    options: ['-DSANCTUM_SAME_BITS=ON'],
  },
  'same-bits-arm64': {
    ...{ folder: 'same-bits', suffix: '-arm64', files: ['sanctum_same_bits', LIBRARY_FILE] },
    options: ['-DSANCTUM_SAME_BITS=ON', ...ARM64],
  },
};

/** Returns the path of the built file, building it if it is not there yet. */
export async function buildNative(name = 'library') {
  const variant = VARIANTS[name];
  const digest = await digestOf(await sourceFiles(native));
  const folder = join(project, 'build', variant.folder, `${digest}${variant.suffix}`);
  const target = join(folder, variant.files[0]);
  if (existsSync(target)) {
    const now = new Date();
    await utimes(target, now, now); // openKernels takes the newest
    return target;
  }
  await mkdir(join(project, 'build'), { recursive: true });
  const work = await mkdtemp(join(project, 'build', 'work-'));
  try {
    const options = ['-DCMAKE_BUILD_TYPE=Release', ...variant.options];
    await command('cmake', ['-S', native, '-B', work, ...options]);
    await command('cmake', ['--build', work, '--parallel', String(availableParallelism())]);
    await mkdir(folder, { recursive: true });
    for (const file of variant.files.toReversed()) {
      await rename(join(work, file), join(folder, file));
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return target;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(await buildNative(process.argv.includes('--sanitize') ? 'sanitize' : 'library'));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
