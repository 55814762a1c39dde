import { findProcess } from '@sanctum/catalog';
import { withGroupHeld } from './group-hold.js';

/** A supervisor that dies while it holds the group of the process that it is given. */
const leader = findProcess(Number(process.argv[2]));
if (leader === undefined) throw new Error('there is no such process');
await withGroupHeld(leader, () => process.kill(process.pid, 'SIGKILL'));
