// From the second `up` to the first token of a chat. usage: startup.mjs [--rounds 3]
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { machine, option, told } from './rounds.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const home = mkdtempSync(path.join(os.tmpdir(), 'sanctum-bench-'));
const run = (...args) =>
  execFileSync(path.join(root, 'sanctumctl'), [...args, '--home', home], { encoding: 'utf8' });
const up = () => run('up', '--detach', '--yes', '--ports', 'auto');

try {
  up();
  run('down');
  const seconds = [];
  for (let round = 0; round < Number(option('rounds', 3)); round += 1) {
    const startedAt = performance.now();
    up();
    await firstToken(JSON.parse(run('status', '--json')));
    seconds.push((performance.now() - startedAt) / 1000);
    run('down');
  }
  console.log(machine());
  console.log(`second up to first token: ${told(seconds)} s`);
} finally {
  run('down');
  rmSync(home, { recursive: true, force: true });
}

/** On a connection of its own: one kept from the round before ended with that round's router. */
async function firstToken({ services }) {
  const { url } = services.find((service) => service.name === 'router');
  const asked = request(`${url}/v1/chat/completions`, {
    method: 'POST',
    agent: false,
    headers: { 'content-type': 'application/json' },
  });
  asked.end(JSON.stringify({ stream: true, messages: [{ role: 'user', content: 'Say hello.' }] }));
  const [response] = await once(asked, 'response');
  if (response.statusCode !== 200) throw new Error(`the router answered ${response.statusCode}`);
  for await (const bytes of response) {
    if (bytes.includes('"content":"')) return;
  }
  throw new Error('the stream had no token');
}
