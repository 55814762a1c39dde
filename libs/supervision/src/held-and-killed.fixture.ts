import { findProcess, groupMembers } from '@sanctum/catalog';
import { isStopped, withGroupHeld } from './group-hold.js';

/** A supervisor that dies while it holds the group of the process that it is given. */
const leader = findProcess(Number(process.argv[2]));
if (leader === undefined) throw new Error('there is no such process');
const die = (): void => {
  if (groupMembers(leader).every(isStopped)) process.kill(process.pid, 'SIGKILL');
};
// A group that is busy is let go, and held at the next look.
for (let held = false; !held;) held = await withGroupHeld(leader, die);
