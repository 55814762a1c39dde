import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { ModelSequence } from '@sanctum/generation';
import { LoadedModel } from './testing/loaded-model.js';

const FOLDER = path.resolve(import.meta.dirname, '../../../deploy/models/padawan');
const STEPS = 1000;
const RUNNING = 8;
const STEP_TOKENS = 256;
const ANY_TOKEN = 5;
const MEGABYTE = 1 << 20;
/** What else in this process asks the C library for memory meanwhile. */
const OTHERS_BYTES = 12 * MEGABYTE;

interface Chat {
  readonly sequence: ModelSequence;
  promptLeft: number;
  answerLeft: number;
}

describe('memory under load', () => {
  it('stays what chats need while they come and go', () => {
    using loaded = new LoadedModel(FOLDER, { mode: 'fast' }, { stepTokensMax: STEP_TOKENS });
    const { model, context } = loaded;
    const random = generator(1);
    const chats = new Set<Chat>();
    const before = heapBytes();
    for (let step = 0; step < STEPS; step += 1) {
      while (chats.size < RUNNING) {
        const sequence = model.createSequence();
        chats.add({ sequence, promptLeft: 1 + random(120), answerLeft: 1 + random(20) });
      }
      model.step(plan(chats));
      const ended = [...chats].filter(({ answerLeft }) => answerLeft === 0);
      for (const chat of ended) {
        chat.sequence.free();
        chats.delete(chat);
      }
      if (ended.length > 0) context.clearCache();
    }
    const { memoryPeakBytes } = context.stats();
    for (const { sequence } of chats) sequence.free();
    expect(memoryPeakBytes).toBeGreaterThan(MEGABYTE);
    expect(heapBytes() - before).toBeLessThan(2 * memoryPeakBytes + OTHERS_BYTES);
  });
});

/** Answers go on by a token each; prompts share the rest of the step, as the scheduler plans it. */
function plan(chats: ReadonlySet<Chat>) {
  let room = STEP_TOKENS - chats.size;
  return [...chats].map((chat) => {
    const taken = Math.min(chat.promptLeft, room + 1);
    if (taken === 0) chat.answerLeft -= 1;
    else room -= taken - 1;
    chat.promptLeft -= taken;
    return {
      sequence: chat.sequence,
      tokens: new Int32Array(Math.max(taken, 1)).fill(ANY_TOKEN),
      logits: chat.promptLeft === 0 ? ('last' as const) : ('none' as const),
    };
  });
}

/** Resident bytes of glibc's main heap; other C libraries do not say, and had no such holes. */
function heapBytes(): number {
  if (process.platform !== 'linux') return 0;
  const maps = readFileSync('/proc/self/smaps', 'utf8');
  const heap = maps.slice(maps.indexOf('[heap]'));
  return Number(/^Rss:\s+(\d+) kB/m.exec(heap)?.[1]) * 1024;
}

function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    return state % below;
  };
}
