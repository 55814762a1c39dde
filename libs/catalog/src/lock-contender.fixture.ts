import { readFileSync, writeFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { withProcessLock } from './process-lock.js';

/** Adds one to a number in a file, again and again; 0 times means to die with the lock in hand. */
const [lock = '', counter = '', times = ''] = process.argv.slice(2);
const WAIT_MS = 60_000;
if (times === '0') {
  await withProcessLock(lock, WAIT_MS, async () => {
    process.kill(process.pid, 'SIGKILL');
    await new Promise<never>(() => undefined);
  });
}
for (let done = 0; done < Number(times); done += 1) {
  await withProcessLock(lock, WAIT_MS, async () => {
    const value = Number(readFileSync(counter, 'utf8'));
    await turn();
    writeFileSync(counter, String(value + 1));
  });
}
