// What the router adds, against the same load sent directly and through a bare Node proxy.
// usage: router.mjs [--rounds 7] [--seconds 4] [--upstream plain|mtls] [--portkey yes] [--bind yes]
// With --bind, client and upstream share core 0 and what is measured has the other cores (Linux):
// rates then say what a request costs, not where the scheduler put it.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { machine, median, option, portOf, ratios, told } from './rounds.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '../../..');
const rounds = Number(option('rounds', 7));
const seconds = Number(option('seconds', 4));
const folder = mkdtempSync(path.join(os.tmpdir(), 'sanctum-bench-'));
const bound = option('bind', 'no') === 'yes';
const LOAD_CORES = '0';
const OTHER_CORES = `1-${os.cpus().length - 1}`;
const children = [];

try {
  const mock = path.join(here, 'mock-upstream.mjs');
  const plain = await start(mock, ['64'], { cores: LOAD_CORES });
  const tls = option('upstream', 'plain') === 'mtls' ? makeCertificates() : undefined;
  const upstream =
    tls === undefined
      ? plain
      : await start(mock, ['64', ...Object.values(tls.server)], { cores: LOAD_CORES });
  // wrk has no client certificates: without them, `direct` stays the plain upstream.
  const targets = {
    direct: plain,
    proxy: await start(path.join(here, 'bare-proxy.mjs'), [
      upstream,
      ...Object.values(tls?.client ?? {}),
    ]),
    router: await startRouter(upstream, tls),
    ...(option('portkey', 'no') === 'yes' ? { portkey: await startPortkey() } : {}),
  };
  console.log(
    `${machine()}; upstream over ${tls === undefined ? 'HTTP' : 'mTLS'}` +
      (bound ? `; load on core ${LOAD_CORES}, the rest on ${OTHER_CORES}` : ''),
  );
  const loads = [
    { title: 'c1, plain', connections: 1, stream: false },
    { title: 'c16, plain', connections: 16, stream: false },
    { title: 'c1, 64 chunks', connections: 1, stream: true },
    { title: 'c16, 64 chunks', connections: 16, stream: true },
    { title: 'c1, 64 chunks 5 ms apart', connections: 1, stream: true, model: 'paced' },
  ];
  for (const load of loads) {
    const { portkey, ...others } = targets;
    // Portkey 1.15.2 answers a stream with 500 on Node 20 ("immutable" headers).
    const sides = load.stream || portkey === undefined ? others : targets;
    report(load.title, measure(sides, { ...load, upstream: plain }));
  }
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

function report(title, results) {
  const { direct, proxy, router, portkey } = results;
  const column = (side, key) => side.map((result) => result[key]);
  const added = (side) => side.map((result, round) => result.p50 - direct[round].p50);
  console.log(`\n${title} (${rounds} rounds of ${seconds} s)`);
  for (const [name, side] of Object.entries(results)) {
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
  if (portkey) console.log(`  router / Portkey req/s: ${told(ratios(rps(router), rps(portkey)))}`);
  const p50 = (side) => column(side, 'p50');
  console.log(`  router / direct p50: ${told(ratios(p50(router), p50(direct)), 3)}`);
  console.log(
    `  added p50, router / proxy: ${(median(added(router)) / median(added(proxy))).toFixed(2)}`,
  );
}

function wrk(port, { connections, stream, upstream, model = 'mock' }) {
  const script = path.join(folder, 'load.lua');
  const body = JSON.stringify({
    model,
    stream,
    messages: [{ role: 'user', content: 'What is 2+2? Respond with only the number.' }],
    max_tokens: 16,
  });
  writeFileSync(
    script,
    [
      'wrk.method = "POST"',
      `wrk.body = '${body}'`,
      'wrk.headers["content-type"] = "application/json"',
      // What Portkey needs to know; nobody else looks at these.
      'wrk.headers["authorization"] = "Bearer bench"',
      'wrk.headers["x-portkey-provider"] = "openai"',
      `wrk.headers["x-portkey-custom-host"] = "http://127.0.0.1:${upstream}/v1"`,
      '',
    ].join('\n'),
  );
  const url = `http://127.0.0.1:${port}/v1/chat/completions`;
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '-s', script, url];
  const [program, ...rest] = onCores(LOAD_CORES, ['wrk', ...args]);
  const text = execFileSync(program, rest, { encoding: 'utf8' });
  if (/Non-2xx|Socket errors/.test(text)) throw new Error(`errors under load:\n${text}`);
  const [, value, unit] = /50%\s+([\d.]+)(us|ms|s)/.exec(text);
  const scale = { us: 1e-3, ms: 1, s: 1e3 }[unit];
  return { rps: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)[1]), p50: Number(value) * scale };
}

async function startRouter(upstream, tls) {
  const file = path.join(folder, 'instance.yaml');
  const scheme = tls === undefined ? 'http' : 'https';
  const backend = {
    url: `${scheme}://127.0.0.1:${upstream}/v1`,
    ...(tls === undefined ? {} : { tls: { identity: 'sanctum-server' } }),
  };
  const router = { default: 'mock', backends: { mock: { ...backend, models: ['paced'] } } };
  writeFileSync(
    file,
    JSON.stringify({ instance: { name: 'bench', timezone: 'UTC' }, services: { router } }),
  );
  const main = path.join(root, 'apps/router/dist/bundle/main.mjs');
  const env = { SANCTUM_HOME: folder };
  return start(main, ['--router-config', file, '--port', '0'], { env });
}

/** The peer from npm; it has no way to choose a free port itself. */
async function startPortkey() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  const main = path.join(here, '../node_modules/@portkey-ai/gateway/build/start-server.js');
  const command = [process.execPath, main, '--headless', `--port=${port}`];
  const [program, ...args] = onCores(OTHER_CORES, command);
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  children.push(child);
  for (let tries = 0; tries < 200; tries += 1) {
    const up = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
    if (up !== undefined) return port;
    await delay(100);
  }
  throw new Error('Portkey did not come up within 20 s');
}

function makeCertificates() {
  const main = path.join(root, 'apps/sanctumctl/dist/bundle/main.mjs');
  execFileSync(process.execPath, [main, 'certs', 'init', '--home', folder], { stdio: 'ignore' });
  const ca = path.join(folder, 'certs/ca.crt');
  const pair = (name) => ({
    ca,
    cert: path.join(folder, `certs/${name}.crt`),
    key: path.join(folder, `certs/${name}.key`),
  });
  return { server: pair('server'), client: pair('clients/sanctum-server') };
}

function onCores(cores, command) {
  return bound ? ['taskset', '-c', cores, ...command] : command;
}

async function start(script, args, { env = {}, cores = OTHER_CORES } = {}) {
  const command = [process.execPath, script, ...args.map(String)];
  const [program, ...rest] = onCores(cores, command);
  const child = spawn(program, rest, {
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
