import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The worker's program: `worker.mjs` beside the bundled main, else the compiled one. */
export function workerProgram(): string {
  const bundled = fileURLToPath(new URL('./worker.mjs', import.meta.url));
  return existsSync(bundled)
    ? bundled
    : fileURLToPath(new URL('../worker/main.js', import.meta.url));
}
