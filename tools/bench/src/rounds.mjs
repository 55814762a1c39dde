// Interleaved rounds over long-lived child processes, and how their figures are told.
import { spawn } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

export const cache = path.join(
  process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'),
  'sanctum',
  'bench',
);

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** `3.21 (3.00–3.40)`: median and range. */
export function told(values, digits = 2) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `${median(values).toFixed(digits)} (${low.toFixed(digits)}–${high.toFixed(digits)})`;
}

/** Ratios are taken within a round, where both sides met the same machine. */
export function ratios(numerators, denominators) {
  return numerators.map((value, round) => value / denominators[round]);
}

export function option(name, fallback) {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : (process.argv[at + 1] ?? fallback);
}

export function machine() {
  return `${os.cpus()[0].model}, ${os.cpus().length} cores, Node ${process.version}`;
}

/** A child that answers one JSON line for each JSON line: idle while others are measured. */
export class Peer {
  constructor(script, args = [], env = {}) {
    this.child = spawn(process.execPath, [script, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  async ask(request) {
    this.child.stdin.write(`${JSON.stringify(request)}\n`);
    for (;;) {
      const { value, done } = await this.lines.next();
      if (done) throw new Error(`${this.child.spawnargs[1]} ended`);
      if (value.startsWith('{')) return JSON.parse(value);
    }
  }

  close() {
    this.child.stdin.end();
    this.child.kill();
  }
}

/** The other side of a Peer: `handlers[op](request)` returns what is answered. */
export async function answer(handlers) {
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    console.log(JSON.stringify(await handlers[request.op](request)));
  }
  process.exit(0);
}

export function rate(count, startedAt) {
  return (count / (performance.now() - startedAt)) * 1000;
}

/** The port a child tells: alone on a line, or in the `ready` log line of a service. */
export function portOf(line) {
  if (/^\d+$/.test(line)) return Number(line);
  return line.includes('"msg":"ready"') ? JSON.parse(line).addresses[0].port : undefined;
}
