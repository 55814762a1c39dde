// The engine's bare loop against llama.cpp and the memory bandwidth of the same minutes.
// usage: engine.mjs [--rounds 7] [--threads 2] [--isa avx2] [--decode 64] [--prefill 512]
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureGguf } from './make-gguf.mjs';
import { ensureModel } from './make-model.mjs';
import { cache, machine, option, Peer, ratios, told } from './rounds.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const rounds = Number(option('rounds', 7));
const threads = option('threads', '2');
const isa = option('isa', '');
const decode = Number(option('decode', 64));
const prefill = Number(option('prefill', 512));

mkdirSync(cache, { recursive: true });
const model = ensureModel(path.join(cache, 'qwen3_5-0.8b-q4g64'));
const gguf = ensureGguf(path.join(cache, 'qwen3_5-0.8b-q4_0.gguf'));
const membw = path.join(cache, 'membw');
execFileSync('cc', ['-O3', '-march=native', path.join(here, 'membw.c'), '-o', membw, '-lpthread']);

const ours = new Peer(path.join(here, 'engine-loop.mjs'), [model, threads], { SANCTUM_ISA: isa });
const llama = isa === 'avx2' ? haswellCopy() : here;
const theirs = new Peer(path.join(llama, 'llama-loop.mjs'), [gguf, threads]);
const results = {};

console.log(machine());
const about = await ours.ask({ op: 'info' });
console.log(`engine: ${about.info}; llama.cpp: ${(await theirs.ask({ op: 'info' })).info}`);
for (let round = -1; round < rounds; round += 1) {
  await measure(round, 'prefill', { op: 'prefill', tokens: prefill });
  await measure(round, 'decode', { op: 'decode', tokens: decode, batch: 1 });
  await measure(round, 'batch 8', { op: 'decode', tokens: decode, batch: 8 });
  if (round >= 0) {
    const bandwidth = Number(execFileSync(membw, [threads], { encoding: 'utf8' }));
    (results.bandwidth ??= []).push(bandwidth);
  }
}
ours.close();
theirs.close();

for (const name of ['prefill', 'decode', 'batch 8']) {
  const { engine, llama } = results[name];
  console.log(
    `${name}: engine ${told(engine, 1)} tokens/s, llama.cpp ${told(llama, 1)}, ratio ${told(ratios(engine, llama))}`,
  );
}
const read = results.decode.engine.map((rate) => (rate * about.bytesPerToken) / 1e9);
console.log(`memory: ${told(results.bandwidth, 1)} GB/s with four streams a thread`);
console.log(`decode reads ${told(read, 1)} GB/s, ${told(ratios(read, results.bandwidth))} of it`);
console.log(
  `batch 8 over batch 1: ${told(ratios(results['batch 8'].engine, results.decode.engine))}`,
);

/** llama.cpp picks its best variant itself: of this copy of its package, only the one for AVX2 is left. */
function haswellCopy() {
  const copy = path.join(cache, 'llama-haswell');
  const sources = path.join(copy, 'src');
  rmSync(copy, { recursive: true, force: true });
  cpSync(path.join(here, '../node_modules'), path.join(copy, 'node_modules'), {
    recursive: true,
    filter: (file) =>
      !/libggml-cpu-(?!haswell)[\w-]+\.so$|linux-x64-(?:cuda|vulkan)|win-|mac-/.test(file),
  });
  cpSync(here, sources, { recursive: true });
  return sources;
}

/** The first round warms both sides up and is dropped. */
async function measure(round, name, request) {
  const sides = { engine: await ours.ask(request), llama: await theirs.ask(request) };
  if (round < 0) return;
  results[name] ??= { engine: [], llama: [] };
  for (const side of ['engine', 'llama']) results[name][side].push(sides[side].rate);
}
