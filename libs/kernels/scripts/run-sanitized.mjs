// Builds the drivers and runs them: the threads of a step under TSan, the ABI under ASan and UBSan.
// Usage: node scripts/run-sanitized.mjs [seed] [rounds]
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { buildNative } from './build-native.mjs';

/** How TSan ends where addresses are more random than its shadow memory allows for. */
const UNMAPPED = 'unexpected memory mapping';

const fuzz = await buildNative('sanitize');
const threads = join(dirname(fuzz), 'sanctum_threads');
const args = process.argv.slice(2);
process.exitCode = runThreads() || run(fuzz, args).status;

function runThreads() {
  const { status, stderr } = run(threads, args.slice(0, 1), 'pipe');
  if (!stderr.includes(UNMAPPED)) {
    process.stderr.write(stderr);
    return status;
  }
  return run('setarch', ['--addr-no-randomize', threads, ...args.slice(0, 1)]).status;
}

function run(file, list, stderr = 'inherit') {
  const result = spawnSync(file, list, { stdio: ['inherit', 'inherit', stderr], encoding: 'utf8' });
  if (result.error) throw result.error;
  return { status: result.status ?? 1, stderr: result.stderr ?? '' };
}
