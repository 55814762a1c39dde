// What the router adds, against the same load sent directly and through a bare Node proxy.
// usage: router.mjs [--rounds 7] [--seconds 4]
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { machine, median, option, portOf, ratios, told } from './rounds.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '../../..');
const rounds = Number(option('rounds', 7));
const seconds = Number(option('seconds', 4));
const folder = mkdtempSync(path.join(os.tmpdir(), 'sanctum-bench-'));
const children = [];

try {
  const upstream = await start(path.join(here, 'mock-upstream.mjs'), ['64']);
  const proxy = await start(path.join(here, 'bare-proxy.mjs'), [upstream]);
  const targets = { direct: upstream, proxy, router: await startRouter(upstream) };
  console.log(machine());
  report('c1, plain', measure(targets, { connections: 1, stream: false }));
  report('c16, plain', measure(targets, { connections: 16, stream: false }));
  report('c1, 64 chunks', measure(targets, { connections: 1, stream: true }));
  report('c16, 64 chunks', measure(targets, { connections: 16, stream: true }));
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}

function measure(targets, load) {
  const results = Object.fromEntries(Object.keys(targets).map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, port] of Object.entries(targets)) results[name].push(wrk(port, load));
  }
  return results;
}

function report(title, { direct, proxy, router }) {
  const column = (side, key) => side.map((result) => result[key]);
  const added = (side) => side.map((result, round) => result.p50 - direct[round].p50);
  console.log(`\n${title} (${rounds} rounds of ${seconds} s)`);
  for (const [name, side] of Object.entries({ direct, proxy, router })) {
    console.log(
      `  ${name}: ${told(column(side, 'rps'), 0)} req/s, p50 ${told(column(side, 'p50'), 3)} ms`,
    );
  }
  console.log(
    `  added p50: proxy ${told(added(proxy), 3)} ms, router ${told(added(router), 3)} ms`,
  );
  const rps = (side) => column(side, 'rps');
  console.log(`  router / proxy req/s: ${told(ratios(rps(router), rps(proxy)))}`);
  console.log(`  router / direct req/s: ${told(ratios(rps(router), rps(direct)))}`);
  console.log(
    `  added p50, router / proxy: ${(median(added(router)) / median(added(proxy))).toFixed(2)}`,
  );
}

function wrk(port, { connections, stream }) {
  const script = path.join(folder, `${stream ? 'stream' : 'plain'}.lua`);
  const body = JSON.stringify({
    model: 'mock',
    stream,
    messages: [{ role: 'user', content: 'What is 2+2? Respond with only the number.' }],
    max_tokens: 16,
  });
  writeFileSync(
    script,
    `wrk.method = "POST"\nwrk.body = '${body}'\nwrk.headers["content-type"] = "application/json"\n`,
  );
  const url = `http://127.0.0.1:${port}/v1/chat/completions`;
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '-s', script, url];
  const text = execFileSync('wrk', args, { encoding: 'utf8' });
  if (/Non-2xx|Socket errors/.test(text)) throw new Error(`errors under load:\n${text}`);
  const [, value, unit] = /50%\s+([\d.]+)(us|ms|s)/.exec(text);
  const scale = { us: 1e-3, ms: 1, s: 1e3 }[unit];
  return { rps: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)[1]), p50: Number(value) * scale };
}

async function startRouter(upstream) {
  const file = path.join(folder, 'instance.yaml');
  writeFileSync(
    file,
    [
      'instance: { name: bench, timezone: UTC }',
      'services:',
      '  router:',
      '    default: mock',
      '    backends:',
      '      mock:',
      `        url: http://127.0.0.1:${upstream}/v1`,
      '',
    ].join('\n'),
  );
  const main = path.join(root, 'apps/router/dist/bundle/main.mjs');
  return start(main, ['--router-config', file, '--port', '0'], { SANCTUM_HOME: folder });
}

async function start(script, args, env = {}) {
  const child = spawn(process.execPath, [script, ...args.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  children.push(child);
  for await (const line of createInterface({ input: child.stdout })) {
    const port = portOf(line);
    if (port) {
      child.stdout.resume();
      return port;
    }
  }
  throw new Error(`${script} ended before it was ready`);
}
