import fs from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename } from 'node:path';
import { homePaths } from '@sanctum/catalog';
import { dropOldAuthority, signWithNextAuthority, trustNextAuthority } from './rollover.js';

/** One step of a rollover by a process that dies before it changes the nth file of the PKI. */
const [folder = '', step, nth] = process.argv.slice(2);
let changes = 0;

function dieBefore(path: fs.PathLike): void {
  if (!/^(?:ca\.|issued)/.test(basename(String(path)))) return;
  changes += 1;
  if (changes === Number(nth)) process.kill(process.pid, 'SIGKILL');
}

const { renameSync } = fs;
const { rename, rm } = promises;
Object.assign(fs, {
  renameSync: (from: fs.PathLike, to: fs.PathLike): void => {
    dieBefore(to);
    renameSync(from, to);
  },
});
Object.assign(promises, {
  rename: async (from: fs.PathLike, to: fs.PathLike): Promise<void> => {
    dieBefore(to);
    await rename(from, to);
  },
  rm: async (path: fs.PathLike, options?: fs.RmOptions): Promise<void> => {
    dieBefore(path);
    await rm(path, options);
  },
});
syncBuiltinESMExports();

const home = homePaths(folder);
if (step === 'trust') await trustNextAuthority(home, 'attic');
if (step === 'sign') await signWithNextAuthority(home);
if (step === 'drop') await dropOldAuthority(home);
