// Memory of a running instance as the sum of PSS over each service's processes, after load.
// usage: memory.mjs [--home DIR]; the instance is up
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { machine, option } from './rounds.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const home = option('home', path.join(root, '.sanctum'));
const REQUESTS = 2000;
const CONNECTIONS = 16;

const main = path.join(root, 'apps/sanctumctl/dist/bundle/main.mjs');
const status = JSON.parse(
  execFileSync(process.execPath, [main, 'status', '--json', '--home', home], { encoding: 'utf8' }),
);
const router = status.services.find((service) => service.name === 'router');

await load(router.url);
console.log(`${machine()}; after ${REQUESTS} chats over ${CONNECTIONS} connections`);
for (const { name, pids } of status.services) {
  console.log(`${name}: ${(pids.reduce((sum, pid) => sum + pss(pid), 0) / 1024).toFixed(1)} MB`);
}

async function load(url) {
  let left = REQUESTS;
  const worker = async () => {
    while (left-- > 0) {
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          messages: [{ role: 'user', content: 'What is 17+25? Respond with only the number.' }],
        }),
      });
      if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
      await response.arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
}

/** Proportional set size in KiB. */
function pss(pid) {
  return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);
}
