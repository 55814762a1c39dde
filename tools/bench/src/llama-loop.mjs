// llama.cpp, through its prebuilt Node binding, as a Peer. usage: llama-loop.mjs MODEL.gguf THREADS
import { getLlama } from 'node-llama-cpp';
import { answer, rate } from './rounds.mjs';
import { promptTokens } from './shape.mjs';

const [file, threads] = [process.argv[2], Number(process.argv[3])];
const llama = await getLlama({
  gpu: false,
  build: 'never',
  maxThreads: threads,
  logLevel: 'error',
});
const model = await llama.loadModel({ modelPath: file, useMmap: true });
const context = await model.createContext({
  contextSize: 1024,
  batchSize: 512,
  sequences: 8,
  threads,
});
const sequences = Array.from({ length: 8 }, () => context.getSequence());

await answer({
  info: () => ({ info: llama.systemInfo }),
  async prefill({ tokens }) {
    await sequences[0].clearHistory();
    const startedAt = performance.now();
    await sequences[0].evaluateWithoutGeneratingNewTokens(Array.from(promptTokens(tokens)));
    return { rate: rate(tokens, startedAt) };
  },
  async decode({ tokens, batch }) {
    const running = sequences.slice(0, batch);
    for (const sequence of running) await sequence.clearHistory();
    for (const sequence of running) {
      await sequence.evaluateWithoutGeneratingNewTokens(Array.from(promptTokens(16)));
    }
    let startedAt = 0;
    const counts = await Promise.all(
      running.map(async (sequence) => {
        let count = 0;
        for await (const token of sequence.evaluate([17], { temperature: 0 })) {
          if (token === undefined) throw new Error('llama.cpp drew no token');
          if (startedAt === 0) startedAt = performance.now();
          else count += 1;
          if (count >= tokens) break;
        }
        return count;
      }),
    );
    return {
      rate: rate(
        counts.reduce((a, b) => a + b, 0),
        startedAt,
      ),
    };
  },
});
