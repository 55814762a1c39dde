import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import {
  createChatTemplate,
  createTokenizer,
  type CausalModel,
  type ChatTemplate,
  type ModelSequence,
} from '@sanctum/generation';
import { GREEDY, LoadedModel } from './testing/loaded-model.js';

/**
 * The quality protocol that lets `fast` be the default, over every line of padawan's held-out set
 * and the parity battery. Random-weight models are held to theirs, a mean divergence of 1e-3 nats a
 * token, in fast-mode.spec.ts.
 */
const PERPLEXITY_DIFFERENCE_MAX = 0.005;
const AGREEMENT_MIN = 0.99;
const GREEDY_TOKENS = 64;

const ROOT = path.resolve(import.meta.dirname, '../../..');
const FOLDER = `${ROOT}/deploy/models/padawan`;
const config = readFileSync(`${FOLDER}/tokenizer_config.json`, 'utf8');
const tokenizer = createTokenizer(readFileSync(`${FOLDER}/tokenizer.json`, 'utf8'), config);
const template = createChatTemplate({ config });

interface HeldOut {
  readonly messages: Parameters<ChatTemplate>[0];
  readonly answer: string;
}

interface Battery {
  readonly prompts: readonly { readonly prompt: string; readonly contains: string }[];
}

interface Conversation {
  readonly prompt: Int32Array;
  /** With the end of its turn. */
  readonly answer: Int32Array;
}

/** What a model makes of a conversation. */
interface Heard {
  /** Negative log probability of the expected answer's tokens. */
  readonly nats: number;
  /** Its own answer. */
  readonly greedy: readonly number[];
}

describe('fast mode, by the quality protocol', () => {
  const conversations = [...heldOut(), ...battery()];
  const tokens = sum(conversations.map(({ answer }) => answer.length));
  const exact = hearAll('exact', conversations);
  const fast = hearAll('fast', conversations);

  it('has the perplexity of exact mode', () => {
    const [expected, found] = [exact, fast].map((all) =>
      Math.exp(sum(all.map(({ nats }) => nats)) / tokens),
    ) as [number, number];
    const difference = Math.abs(found / expected - 1);
    print(
      `perplexity over ${tokens} tokens of ${conversations.length} answers: ` +
        `exact ${expected.toFixed(5)}, fast ${found.toFixed(5)}, ` +
        `${(100 * difference).toFixed(3)} % apart`,
    );
    expect(difference).toBeLessThanOrEqual(PERPLEXITY_DIFFERENCE_MAX);
    // The very same number would mean that the mode changed nothing.
    expect(difference).toBeGreaterThan(0);
  });

  it(`agrees with exact mode over the first ${GREEDY_TOKENS} greedy tokens`, () => {
    const pairs = exact.map(({ greedy }, index) => [greedy, fast[index]?.greedy ?? []] as const);
    const all = sum(pairs.map(([a, b]) => Math.max(a.length, b.length)));
    const agreed = sum(pairs.map(([a, b]) => a.filter((token, at) => token === b[at]).length));
    print(`greedy agreement: ${agreed} of ${all} tokens, ${((100 * agreed) / all).toFixed(2)} %`);
    expect(agreed / all).toBeGreaterThanOrEqual(AGREEMENT_MIN);
  });
});

function heldOut(): Conversation[] {
  const lines = readFileSync(`${ROOT}/tools/padawan/held-out.jsonl`, 'utf8').trimEnd().split('\n');
  return lines.map((line) => {
    const { messages, answer } = JSON.parse(line) as HeldOut;
    return conversation(messages, answer);
  });
}

/** Of an answer, the battery names what it contains. */
function battery(): Conversation[] {
  const text = readFileSync(`${ROOT}/deploy/models/parity-smoke.json`, 'utf8');
  return (JSON.parse(text) as Battery).prompts.map(({ prompt, contains }) =>
    conversation([{ role: 'user', content: prompt }], contains),
  );
}

function conversation(messages: HeldOut['messages'], answer: string): Conversation {
  const pieces = template(messages).map((piece) => tokenizer.encode(piece));
  return {
    prompt: Int32Array.from(pieces.flatMap((piece) => [...piece])),
    answer: tokenizer.encode(`${answer}<|im_end|>`),
  };
}

function hearAll(mode: 'exact' | 'fast', conversations: readonly Conversation[]): Heard[] {
  using loaded = new LoadedModel(FOLDER, { mode, threads: 2 });
  return conversations.map(({ prompt, answer }) => {
    const sequence = loaded.model.createSequence();
    loaded.model.step([{ sequence, tokens: prompt.subarray(0, -1), logits: 'none' }]);
    const asked = { sequence: sequence.fork(), last: prompt.subarray(-1) };
    const greedy = answerGreedily(loaded.model, asked);
    asked.sequence.free();
    const tokens = Int32Array.of(...prompt.subarray(-1), ...answer.subarray(0, -1));
    loaded.model.step([{ sequence, tokens, logits: 'all' }]);
    const nats = sum(Array.from(answer, (token, row) => -logProbability(loaded.model, row, token)));
    sequence.free();
    return { nats, greedy };
  });
}

function logProbability(model: CausalModel, row: number, token: number): number {
  const logits = model.readLogits(row);
  const max = logits.reduce((a, b) => Math.max(a, b));
  const total = logits.reduce((before, logit) => before + Math.exp(logit - max), 0);
  return (logits[token] ?? NaN) - max - Math.log(total);
}

/** Up to the end of the turn and with it. */
function answerGreedily(
  model: CausalModel,
  { sequence, last }: { sequence: ModelSequence; last: Int32Array },
): number[] {
  const answered: number[] = [];
  let tokens = last;
  while (answered.length < GREEDY_TOKENS) {
    model.step([{ sequence, tokens, logits: 'last' }]);
    const { token } = model.sample(0, GREEDY);
    answered.push(token);
    if (model.info.eosTokenIds.includes(token)) break;
    tokens = Int32Array.of(token);
  }
  return answered;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
