// The engine's bare loop, without HTTP or tokenizer, as a Peer. usage: engine-loop.mjs FOLDER THREADS
import { openSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { GREEDY } from '@sanctum/generation';
import { openKernels } from '@sanctum/kernels';
import { loadModel } from '@sanctum/models';
import { answer, rate } from './rounds.mjs';
import { promptTokens } from './shape.mjs';

const CHUNK = 512;
const SAMPLING = {
  ...GREEDY,
  history: new Int32Array(),
  promptCount: 0,
  seed: 0n,
  counter: 0,
  topLogprobs: 0,
};

const [folder, threads] = [process.argv[2], Number(process.argv[3])];
const kernels = openKernels();
const isa = process.env.SANCTUM_ISA;
const context = kernels.createContext({ threads, mode: 'fast', ...(isa ? { isa } : {}) });
const files = readdirSync(folder).map((name) => {
  const file = path.join(folder, name);
  return { name, fd: openSync(file, 'r'), size: statSync(file).size };
});
const model = loadModel({ files, context, options: { maxStepTokens: CHUNK } });

await answer({
  info: () => ({
    info: `${context.isa}, ${threads} threads`,
    // Tied embeddings: a decoded token reads every weight once.
    bytesPerToken: statSync(path.join(folder, 'model.safetensors')).size,
  }),
  prefill({ tokens }) {
    const sequence = model.createSequence();
    const startedAt = performance.now();
    feed(sequence, promptTokens(tokens));
    const result = { rate: rate(tokens, startedAt) };
    sequence.free();
    return result;
  },
  decode({ tokens, batch }) {
    const sequences = Array.from({ length: batch }, () => model.createSequence());
    const next = sequences.map((sequence) => feed(sequence, promptTokens(16)));
    const startedAt = performance.now();
    for (let i = 0; i < tokens; i += 1) {
      model.step(
        sequences.map((sequence, at) => ({
          sequence,
          tokens: Int32Array.of(next[at]),
          logits: 'last',
        })),
      );
      for (let at = 0; at < batch; at += 1) next[at] = model.sample(at, SAMPLING).token;
    }
    const result = { rate: rate(tokens * batch, startedAt) };
    for (const sequence of sequences) sequence.free();
    return result;
  },
});

/** Takes a prompt in, chunk by chunk, and returns the first token of the answer. */
function feed(sequence, tokens) {
  for (let from = 0; from < tokens.length; from += CHUNK) {
    const chunk = tokens.subarray(from, from + CHUNK);
    const last = from + CHUNK >= tokens.length;
    model.step([{ sequence, tokens: chunk, logits: last ? 'last' : 'none' }]);
  }
  return model.sample(0, SAMPLING).token;
}
