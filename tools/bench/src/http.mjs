// The engine through HTTP and SSE against its bare loop, same weights, end-of-sequence ignored.
// usage: http.mjs [--rounds 7] [--threads 2] [--tokens 128]
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ensureModel } from './make-model.mjs';
import { cache, machine, option, Peer, portOf, ratios, told } from './rounds.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '../../..');
const rounds = Number(option('rounds', 7));
const threads = option('threads', '2');
const tokens = Number(option('tokens', 128));

mkdirSync(cache, { recursive: true });
const model = ensureModel(path.join(cache, 'qwen3_5-0.8b-q4g64'));
const trust = signed(model);
const answer = path.join(cache, `answer-${process.pid}`);
const loop = new Peer(path.join(here, 'engine-loop.mjs'), [model, threads]);
const engine = spawn(
  process.execPath,
  [
    path.join(root, 'apps/engine/dist/bundle/main.mjs'),
    ...['--model', model, '--manifest', trust.manifest, '--manifest-sig', `${trust.manifest}.sig`],
    ...['--manifest-pubkey', trust.publicKey, '--port', '0', '--threads', threads],
    ...['--compute-mode', 'fast'],
  ],
  { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, SANCTUM_HOME: cache } },
);
try {
  const url = await readyUrl();
  const results = { loop: [], http: [] };
  for (let round = -1; round < rounds; round += 1) {
    const bare = await loop.ask({ op: 'decode', tokens, batch: 1 });
    const streamed = stream(url);
    if (round < 0) continue;
    results.loop.push(bare.rate);
    results.http.push(streamed);
  }
  console.log(machine());
  console.log(
    `bare loop: ${told(results.loop, 1)} tokens/s, HTTP and SSE: ${told(results.http, 1)}`,
  );
  console.log(`HTTP / bare loop: ${told(ratios(results.http, results.loop), 3)}`);
} finally {
  engine.kill();
  loop.close();
  rmSync(answer, { force: true });
}

/**
 * Tokens a second from the first token on, as the bare loop counts. By curl: a client shares the
 * cores with the engine, and one in JavaScript takes a quarter of a millisecond a token.
 */
function stream(url) {
  const body = JSON.stringify({
    model: path.basename(model),
    prompt: Array.from({ length: 16 }, (_, i) => (i * 7919) % 200_000),
    max_tokens: tokens + 1,
    temperature: 0,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true },
  });
  const args = [
    ...['--silent', '--show-error', '--fail-with-body', '--no-buffer', '--output', answer],
    ...['--write-out', '%{time_starttransfer} %{time_total}'],
    ...['--header', 'content-type: application/json', '--data', body, `${url}/v1/completions`],
  ];
  const times = execFileSync('curl', args, { encoding: 'utf8' });
  const [first, end] = times.split(' ').map(Number);
  const drawn = Number(/"completion_tokens":(\d+)/.exec(readFileSync(answer, 'utf8'))?.[1]);
  if (drawn !== tokens + 1) throw new Error(`the engine drew ${drawn} tokens, not ${tokens + 1}`);
  return tokens / (end - first);
}

/** Manifest, signature and key of the made-up model, made once. */
function signed(folder) {
  const key = path.join(cache, 'bench');
  const manifest = `${folder}.manifest.sha256`;
  const main = path.join(root, 'apps/sanctumctl/dist/bundle/main.mjs');
  const run = (...args) =>
    execFileSync(process.execPath, [main, 'model', ...args], { stdio: 'ignore' });
  if (!existsSync(`${manifest}.sig`)) {
    if (!existsSync(`${key}.key`)) run('keygen', key);
    run('manifest', folder, '--key', `${key}.key`);
    run('sign', manifest, '--key', `${key}.key`);
  }
  return { manifest, publicKey: `${key}.pub` };
}

async function readyUrl() {
  for await (const line of createInterface({ input: engine.stdout })) {
    const port = portOf(line);
    if (port) {
      engine.stdout.resume();
      return `http://127.0.0.1:${port}`;
    }
  }
  throw new Error('the engine ended before it was ready');
}
