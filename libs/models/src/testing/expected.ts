import { readFileSync } from 'node:fs';
import { FIXTURES } from './model-folder.js';

/** What mlx-lm computed from a fixture; written by tools/parity. */
export interface ExpectedPrompt {
  readonly tokens: Int32Array;
  readonly greedy: readonly number[];
  /** Logits of the last rows of the prompt's prefill. */
  readonly prefill: readonly Float32Array[];
  /** Logits after the prompt and all greedy tokens but the last. */
  readonly continued: Float32Array;
}

interface ExpectedFile {
  readonly prompts: readonly {
    readonly tokens: readonly number[];
    readonly greedy: readonly number[];
    readonly rows: number;
  }[];
}

export function readExpected(fixture: string, vocabSize: number): ExpectedPrompt[] {
  const text = readFileSync(`${FIXTURES}/${fixture}/expected.json`, 'utf8');
  const bytes = readFileSync(`${FIXTURES}/${fixture}/expected.f32`);
  const logits = new Float32Array(new Uint8Array(bytes).buffer);
  let row = 0;
  const nextRow = (): Float32Array => logits.subarray(row * vocabSize, ++row * vocabSize);
  const prompts = (JSON.parse(text) as ExpectedFile).prompts.map((prompt) => ({
    tokens: Int32Array.from(prompt.tokens),
    greedy: prompt.greedy,
    prefill: Array.from({ length: prompt.rows }, nextRow),
    continued: nextRow(),
  }));
  if (row * vocabSize !== logits.length) throw new Error(`${fixture}: expected.f32 does not fit`);
  return prompts;
}
