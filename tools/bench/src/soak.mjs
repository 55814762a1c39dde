// Does the router grow? Streams opened and closed, then mixed load, with its memory and sockets watched.
// usage: soak.mjs [--minutes 60] [--streams 10000] [--connections 32]
// Ends with 1 when memory grows by more than 1 MB an hour after the first ten minutes, or a socket stays.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { clearInterval, setInterval } from 'node:timers';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { machine, option, portOf } from './rounds.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '../../..');
const minutes = Number(option('minutes', 60));
const streams = Number(option('streams', 10_000));
const connections = Number(option('connections', 32));
const SETTLE_MINUTES = Math.min(10, minutes / 3);
const SAMPLE_MS = 5_000;
const SLOPE_MAX_MB_H = 1;

const folder = mkdtempSync(path.join(os.tmpdir(), 'sanctum-soak-'));
const children = [];
const counts = { whole: 0, left: 0, refused: 0, failed: 0 };
const agent = new http.Agent({ keepAlive: true, maxSockets: connections });

try {
  const upstream = await start(path.join(here, 'mock-upstream.mjs'), ['64']);
  const { port, pid } = await startRouter(upstream.port);
  console.log(machine());

  await load(port, { until: () => counts.whole + counts.left >= streams, kinds: [stream, leave] });
  console.log(`${streams} streams opened and closed: ${pss(pid).toFixed(1)} MB`);

  const samples = await mixedLoad(port, pid);
  const settled = samples.filter(({ hours }) => hours * 60 >= SETTLE_MINUTES);
  const slope = slopeOf(settled);
  const leaked = await socketsLeft(pid);
  console.log(
    `${minutes} min of mixed load over ${connections} connections: ${JSON.stringify(counts)}`,
  );
  console.log(`memory: ${settled[0].mb.toFixed(1)} → ${settled.at(-1).mb.toFixed(1)} MB`);
  console.log(
    `slope after ${SETTLE_MINUTES} min: ${slope.toFixed(2)} MB/h; sockets left: ${leaked}`,
  );
  process.exitCode = slope > SLOPE_MAX_MB_H || leaked > 0 || counts.failed > 0 ? 1 : 0;
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}

async function mixedLoad(port, pid) {
  const begun = performance.now();
  const samples = [];
  const sampler = setInterval(() => {
    samples.push({ hours: (performance.now() - begun) / 3_600_000, mb: pss(pid) });
  }, SAMPLE_MS);
  const until = () => performance.now() - begun > minutes * 60_000;
  await load(port, { until, kinds: [plain, stream, leave, malformed] });
  clearInterval(sampler);
  return samples;
}

async function load(port, { until, kinds }) {
  const worker = async () => {
    for (let turn = 0; !until(); turn += 1) await kinds[turn % kinds.length](port);
  };
  await Promise.all(Array.from({ length: connections }, worker));
}

async function plain(port) {
  const { status } = await ask(port, chat(false));
  counts[status === 200 ? 'whole' : 'failed'] += 1;
}

async function stream(port) {
  const { status, text } = await ask(port, chat(true));
  counts[status === 200 && text.endsWith('data: [DONE]\n\n') ? 'whole' : 'failed'] += 1;
}

async function malformed(port) {
  const { status } = await ask(port, '{"model":');
  counts[status === 400 ? 'refused' : 'failed'] += 1;
}

/** A client that goes away after the first bytes. */
function leave(port) {
  return new Promise((resolve) => {
    const request = open(port, chat(true), (response) => {
      response.once('data', () => request.destroy());
      response.on('error', () => undefined);
      response.on('close', () => {
        counts.left += 1;
        resolve();
      });
    });
    request.on('error', resolve);
  });
}

function ask(port, body) {
  return new Promise((resolve, reject) => {
    const request = open(port, body, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () =>
        resolve({ status: response.statusCode, text: Buffer.concat(parts).toString() }),
      );
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}

function open(port, body, onResponse) {
  const request = http.request(
    {
      host: '127.0.0.1',
      port,
      path: '/v1/chat/completions',
      method: 'POST',
      agent,
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    },
    onResponse,
  );
  request.end(body);
  return request;
}

function chat(streamed) {
  return JSON.stringify({
    model: 'mock',
    stream: streamed,
    messages: [{ role: 'user', content: 'What is 2+2?' }],
  });
}

/** Connections still open when every client is gone and keep-alive to the upstream is over. */
async function socketsLeft(pid) {
  agent.destroy();
  let left = Infinity;
  for (let tries = 0; tries < 60 && left > 0; tries += 1) {
    await delay(1_000);
    left = established(pid);
  }
  return left;
}

/** Connections of the process that are not in LISTEN: the socket inodes of /proc/PID/fd in /proc/net. */
function established(pid) {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`)
      .map((fd) => /^socket:\[(\d+)\]$/.exec(readlink(`/proc/${pid}/fd/${fd}`))?.[1])
      .filter((inode) => inode !== undefined),
  );
  const LISTEN = '0A';
  return ['tcp', 'tcp6']
    .flatMap((table) => readFileSync(`/proc/net/${table}`, 'utf8').trim().split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] !== LISTEN && inodes.has(fields[9])).length;
}

function readlink(file) {
  try {
    return readlinkSync(file);
  } catch {
    return '';
  }
}

/** Least squares, in MB per hour. */
function slopeOf(samples) {
  const mean = (key) => samples.reduce((sum, sample) => sum + sample[key], 0) / samples.length;
  const [x, y] = [mean('hours'), mean('mb')];
  const over = samples.reduce((sum, { hours, mb }) => sum + (hours - x) * (mb - y), 0);
  return over / samples.reduce((sum, { hours }) => sum + (hours - x) ** 2, 0);
}

/** Proportional set size in MB. */
function pss(pid) {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Pss:\s+(\d+)/m.exec(rollup)[1]) / 1024;
}

async function startRouter(upstream) {
  const file = path.join(folder, 'instance.yaml');
  const backends = { mock: { url: `http://127.0.0.1:${upstream}/v1` } };
  writeFileSync(
    file,
    JSON.stringify({ instance: { name: 'soak' }, services: { router: { backends } } }),
  );
  const main = path.join(root, 'apps/router/dist/bundle/main.mjs');
  return start(main, ['--router-config', file, '--port', '0'], { SANCTUM_HOME: folder });
}

async function start(script, args, env = {}) {
  // As the launch wrapper starts it: a larger young generation would only cost memory.
  const child = spawn(process.execPath, ['--max-semi-space-size=1', script, ...args.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  children.push(child);
  await once(child, 'spawn');
  for await (const line of createInterface({ input: child.stdout })) {
    const port = portOf(line);
    if (port) {
      child.stdout.resume();
      return { port, pid: child.pid };
    }
  }
  throw new Error(`${script} ended before it was ready`);
}
