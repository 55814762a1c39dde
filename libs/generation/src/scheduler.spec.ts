import { describe, expect, it } from '@jest/globals';
import { SanctumError } from '@sanctum/errors';
import fc from 'fast-check';
import type { Delta, GenerationRequest, StepEvents } from './events.js';
import type { SchedulerLimits } from './limits.js';
import { GREEDY, type GenerationOptions, type SamplingParams } from './request.js';
import { Scheduler } from './scheduler.js';
import { byteTokenizerFile } from './testing/byte-tokenizer.js';
import { FakeModel, type FakeModelOptions } from './testing/fake-model.js';
import { answerAlone } from './testing/oracle.js';
import { createTokenizer } from './tokenizer.js';

const tokenizer = createTokenizer(JSON.stringify(byteTokenizerFile()));
const EOS = tokenizer.idOf('<|im_end|>') ?? -1;

function fakeModel(options: Partial<FakeModelOptions> = {}): FakeModel {
  return new FakeModel({ vocabSize: tokenizer.size, eosTokenId: EOS, ...options });
}

function build(
  limits: Partial<SchedulerLimits> = {},
  model = fakeModel(),
): { scheduler: Scheduler; model: FakeModel; clock: { ms: number } } {
  const clock = { ms: 0 };
  const scheduler = new Scheduler({
    model,
    tokenizer,
    limits,
    nowMs: () => clock.ms,
    randomSeed: () => 1n,
  });
  return { scheduler, model, clock };
}

type Asked = Partial<GenerationOptions> & {
  client?: string;
  prompt?: readonly number[];
  sampling?: SamplingParams;
};

function request(id: string, asked: Asked = {}): GenerationRequest {
  const { client = 'one', prompt = [1, 2, 3], ...options } = asked;
  return {
    id,
    client,
    promptTokens: Int32Array.from(prompt),
    options: { sampling: GREEDY, stop: [], ignoreEos: false, maxTokens: 8, ...options },
  };
}

const STEPS_MAX = 20_000;

function runAll(scheduler: Scheduler): StepEvents[] {
  const events: StepEvents[] = [];
  while (scheduler.hasWork) {
    if (events.length === STEPS_MAX) throw new Error('the scheduler does not come to an end');
    events.push(scheduler.runStep());
  }
  return events;
}

const deltasOf = (events: readonly StepEvents[], id: string): Delta[] =>
  events.flatMap(({ deltas }) => deltas.filter((delta) => delta.id === id));
const textOf = (deltas: readonly Delta[]): string => deltas.map(({ text }) => text).join('');
const finishOf = (deltas: readonly Delta[]): Delta['finish'] => deltas.at(-1)?.finish;

describe('one request', () => {
  it('gives the tokens of the model alone, and says how it ended', () => {
    const { scheduler, model } = build();
    const asked = request('a', { maxTokens: 20 });
    expect(scheduler.submit(asked)).toBe('a');
    const deltas = deltasOf(runAll(scheduler), 'a');
    const expected = answerAlone({ model, tokenizer }, asked, 4096);
    expect(textOf(deltas)).toBe(expected.text);
    expect(finishOf(deltas)).toMatchObject({ reason: expected.reason, promptTokens: 3 });
    expect(model.liveSequences).toBe(0);
  });

  it('stops at max_tokens with length, at end-of-sequence with stop', () => {
    const { scheduler } = build({}, fakeModel({ eosBias: -100 }));
    scheduler.submit(request('long', { maxTokens: 5 }));
    expect(finishOf(deltasOf(runAll(scheduler), 'long'))).toMatchObject({
      reason: 'length',
      completionTokens: 5,
    });
    const ending = build({}, fakeModel({ eosBias: 100 })).scheduler;
    ending.submit(request('short'));
    expect(deltasOf(runAll(ending), 'short')).toEqual([
      expect.objectContaining({
        text: '',
        tokens: [],
        finish: expect.objectContaining({ reason: 'stop', completionTokens: 1 }) as object,
      }),
    ]);
  });

  it('goes on after end-of-sequence when asked to', () => {
    const { scheduler } = build({}, fakeModel({ eosBias: 100 }));
    scheduler.submit(request('a', { ignoreEos: true, maxTokens: 6 }));
    const deltas = deltasOf(runAll(scheduler), 'a');
    expect(finishOf(deltas)).toMatchObject({ reason: 'length', completionTokens: 6 });
    expect(textOf(deltas)).toBe('');
  });

  it('ends with length where the context ends', () => {
    const { scheduler } = build({ contextTokensMax: 10 }, fakeModel({ eosBias: -100 }));
    scheduler.submit({
      ...request('a'),
      options: { sampling: GREEDY, stop: [], ignoreEos: false },
    });
    expect(finishOf(deltasOf(runAll(scheduler), 'a'))).toMatchObject({
      reason: 'length',
      promptTokens: 3,
      completionTokens: 7,
    });
  });

  it('takes a long prompt in chunks of the step limit', () => {
    const { scheduler, model } = build({ stepTokensMax: 8, runningMax: 2 });
    const prompt = Array.from({ length: 50 }, (_, at) => at);
    const asked = request('a', { prompt, maxTokens: 3 });
    scheduler.submit(asked);
    const deltas = deltasOf(runAll(scheduler), 'a');
    expect(model.steps).toBeGreaterThanOrEqual(7);
    expect(textOf(deltas)).toBe(answerAlone({ model, tokenizer }, asked, 4096).text);
  });

  it('reports log-probabilities for exactly the tokens it reports', () => {
    const { scheduler } = build({}, fakeModel({ eosBias: -100 }));
    scheduler.submit(request('a', { logprobs: 3, maxTokens: 12, stop: ['zzzz'] }));
    const deltas = deltasOf(runAll(scheduler), 'a');
    for (const { tokens, logprobs } of deltas) {
      expect(logprobs?.map(({ token }) => token)).toEqual(tokens);
    }
    const reports = deltas.flatMap(({ logprobs }) => logprobs ?? []);
    expect(reports).toHaveLength(12);
    for (const report of reports) {
      expect(report.top).toHaveLength(3);
      expect(report.logprob).toBe(report.top[0]?.logprob);
      expect(report.logprob).toBeLessThanOrEqual(0);
    }
    const bytes = Uint8Array.from(reports.flatMap((report) => report.bytes));
    expect(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)).toBe(textOf(deltas));
  });

  it('measures waiting, first token and total from submission', () => {
    const { scheduler, clock } = build({ runningMax: 1, stepTokensMax: 16 });
    scheduler.submit(request('a', { maxTokens: 2, ignoreEos: true }));
    scheduler.submit(request('b', { maxTokens: 2, ignoreEos: true }));
    const events: StepEvents[] = [];
    while (scheduler.hasWork) {
      clock.ms += 10;
      events.push(scheduler.runStep());
    }
    expect(finishOf(deltasOf(events, 'a'))).toMatchObject({
      queueMs: 10,
      firstTokenMs: 10,
      totalMs: 20,
    });
    expect(finishOf(deltasOf(events, 'b'))).toMatchObject({ queueMs: 30, totalMs: 40 });
  });
});

describe('refusals', () => {
  it('refuses one request more than the queue holds, with a time to come back', () => {
    const { scheduler } = build({ queuedMax: 3 });
    for (const id of ['a', 'b', 'c']) scheduler.submit(request(id));
    expect(() => scheduler.submit(request('d'))).toThrow(
      expect.objectContaining({ code: 'queue_full', retryAfterS: expect.any(Number) as unknown }),
    );
    runAll(scheduler);
    expect(() => scheduler.submit(request('d'))).not.toThrow();
  });

  it('says to come back later the longer requests take', () => {
    const { scheduler, clock } = build({ queuedMax: 8, runningMax: 1 });
    scheduler.submit(request('slow', { maxTokens: 2, ignoreEos: true }));
    while (scheduler.hasWork) {
      scheduler.runStep();
      clock.ms += 4000;
    }
    expect(scheduler.stats().retryAfterS).toBe(1);
    for (let at = 0; at < 8; at += 1) scheduler.submit(request(String(at)));
    expect(() => scheduler.submit(request('x'))).toThrow(
      expect.objectContaining({ retryAfterS: 32 }),
    );
    expect(scheduler.stats().retryAfterS).toBe(32);
  });

  it.each([
    [{ prompt: [] }, 'invalid_request', 'prompt'],
    [{ prompt: Array.from({ length: 16 }, () => 1) }, 'context_length_exceeded', 'prompt'],
    [{ prompt: [1, 100_000] }, 'invalid_request', 'prompt'],
    [{ prompt: [-1] }, 'invalid_request', 'prompt'],
    [
      { sampling: { ...GREEDY, logitBias: new Map([[99_999, 1]]) } },
      'invalid_request',
      'logit_bias',
    ],
  ])('refuses %j', (asked, code, param) => {
    const { scheduler } = build({ contextTokensMax: 16 });
    expect(() => scheduler.submit(request('a', asked))).toThrow(
      expect.objectContaining({ code, param }),
    );
    expect(scheduler.hasWork).toBe(false);
  });

  it('refuses an id in use, and takes it again after its end', () => {
    const { scheduler } = build();
    scheduler.submit(request('a'));
    expect(() => scheduler.submit(request('a'))).toThrow('in use');
    runAll(scheduler);
    expect(() => scheduler.submit(request('a'))).not.toThrow();
  });

  it.each([
    [{ queuedMax: 0 }, 'queuedMax'],
    [{ runningMax: 1.5 }, 'runningMax'],
    [{ runningMax: 9, stepTokensMax: 8 }, 'stepTokensMax'],
  ])('refuses the limits %j', (limits, param) => {
    expect(() => build(limits)).toThrow(expect.objectContaining({ code: 'config_invalid', param }));
  });

  it('refuses a cache limit without room for one request', () => {
    expect(() => build({ cacheBytesMax: 100 })).toThrow(
      expect.objectContaining({ code: 'out_of_memory' }),
    );
  });
});

describe('cancelling', () => {
  it('frees a running request at once and ends it in the next step', () => {
    const { scheduler, model } = build({}, fakeModel({ eosBias: -100 }));
    scheduler.submit(request('a', { maxTokens: 100 }));
    scheduler.runStep();
    expect(model.liveSequences).toBe(1);
    expect(scheduler.cancel('a')).toBe(true);
    expect(model.liveSequences).toBe(0);
    const steps = model.steps;
    expect(scheduler.runStep()).toMatchObject({ deltas: [], cancelled: ['a'] });
    expect(model.steps).toBe(steps);
    expect(scheduler.hasWork).toBe(false);
    expect(scheduler.cancel('a')).toBe(false);
  });

  it('takes a waiting request out of the queue', () => {
    const { scheduler } = build({ runningMax: 1, queuedMax: 2 });
    scheduler.submit(request('a'));
    scheduler.submit(request('b'));
    scheduler.cancel('b');
    expect(scheduler.queued).toBe(1);
    expect(deltasOf(runAll(scheduler), 'b')).toEqual([]);
  });
});

describe('failures', () => {
  it('fails only the request whose tokens a step cannot take', () => {
    const model = fakeModel();
    const { scheduler } = build({}, model);
    model.failWith = (spans) =>
      spans.some(({ tokens }) => tokens.includes(77))
        ? new SanctumError('kernel', 'cannot take 77')
        : undefined;
    const good = request('good', { maxTokens: 3, ignoreEos: true });
    scheduler.submit(good);
    scheduler.submit(request('bad', { prompt: [77] }));
    scheduler.submit(request('also', { prompt: [5], maxTokens: 3, ignoreEos: true }));
    const events = runAll(scheduler);
    expect(events.flatMap(({ failed }) => failed)).toMatchObject([
      { id: 'bad', error: { code: 'kernel' } },
    ]);
    model.failWith = () => undefined;
    expect(textOf(deltasOf(events, 'good'))).toBe(
      answerAlone({ model, tokenizer }, good, 4096).text,
    );
    expect(finishOf(deltasOf(events, 'also'))).toBeDefined();
    expect(model.liveSequences).toBe(0);
  });

  it('computes the youngest again later when the library is out of memory', () => {
    const model = fakeModel({ eosBias: -100 });
    const { scheduler } = build({}, model);
    model.failWith = (spans) =>
      spans.length > 1 ? new SanctumError('out_of_memory', 'no page left') : undefined;
    const asked = ['a', 'b', 'c'].map((id, at) =>
      request(id, { prompt: [at, 9, 4], maxTokens: 5 }),
    );
    for (const each of asked) scheduler.submit(each);
    const events = runAll(scheduler);
    // b and c make room for a, then c for b: who gave way is not let in again before one has ended.
    expect(events.at(-1)?.stats.preemptions).toBe(3);
    for (const each of asked) {
      expect(textOf(deltasOf(events, each.id))).toBe(
        answerAlone({ model, tokenizer }, each, 4096).text,
      );
    }
  });

  it('lets those who gave way go on in the order they came', () => {
    const model = fakeModel({ eosBias: -100 });
    const { scheduler } = build({ runningMax: 4 }, model);
    for (const id of ['a', 'b', 'c', 'd']) {
      scheduler.submit(request(id, { client: id, maxTokens: 3 }));
    }
    model.failWith = (spans) =>
      spans.length > 1 ? new SanctumError('out_of_memory', 'no page left') : undefined;
    scheduler.runStep();
    scheduler.submit(request('later', { client: 'later', maxTokens: 3 }));
    const ended = runAll(scheduler).flatMap(({ deltas }) =>
      deltas.filter(({ finish }) => finish !== undefined).map(({ id }) => id),
    );
    expect(ended).toEqual(['a', 'b', 'c', 'd', 'later']);
  });

  it('fails what is out of memory alone', () => {
    const model = fakeModel();
    const { scheduler } = build({}, model);
    model.failWith = () => new SanctumError('out_of_memory', 'no page left');
    scheduler.submit(request('a'));
    expect(runAll(scheduler).flatMap(({ failed }) => failed)).toMatchObject([
      { id: 'a', error: { code: 'out_of_memory' } },
    ]);
  });
});

describe('fairness', () => {
  it('gives each client its turn, however many requests another has waiting', () => {
    const { scheduler } = build({ runningMax: 1, queuedMax: 64 });
    for (let at = 0; at < 20; at += 1) {
      scheduler.submit(request(`greedy-${at}`, { client: 'greedy', maxTokens: 1 }));
    }
    scheduler.submit(request('modest', { client: 'modest', maxTokens: 1 }));
    const ended = runAll(scheduler).flatMap(({ deltas }) => deltas.map(({ id }) => id));
    expect(ended.indexOf('modest')).toBe(1);
    expect(ended).toHaveLength(21);
  });

  it('lets an answer go on in every step while a long prompt is taken in', () => {
    const { scheduler } = build({ stepTokensMax: 8, runningMax: 2 }, fakeModel({ eosBias: -100 }));
    scheduler.submit(request('answer', { prompt: [1], maxTokens: 40 }));
    scheduler.runStep();
    const prompt = Array.from({ length: 200 }, () => 3);
    scheduler.submit(request('prompt', { client: 'two', prompt, maxTokens: 1 }));
    for (let step = 0; step < 20; step += 1) {
      const before = scheduler.stats().completionTokens;
      scheduler.runStep();
      expect(scheduler.stats().completionTokens - before).toBe(1);
    }
  });
});

const LIMITS = {
  queuedMax: 5,
  runningMax: 3,
  stepTokensMax: 11,
  contextTokensMax: 600,
  cacheBytesMax: 800,
};

type Command =
  | { readonly kind: 'submit'; readonly asked: Asked }
  | { readonly kind: 'cancel'; readonly at: number }
  | { readonly kind: 'step'; readonly count: number };

const sampling: fc.Arbitrary<SamplingParams> = fc.oneof(
  fc.constant(GREEDY),
  fc
    .record({
      temperature: fc.constantFrom(0.5, 1, 2),
      topP: fc.constantFrom(0.5, 1),
      presencePenalty: fc.constantFrom(0, 1),
      seed: fc.bigInt(0n, 2n ** 64n - 1n),
    })
    .map((given) => ({ ...GREEDY, ...given })),
);

const submit: fc.Arbitrary<Command> = fc
  .record({
    client: fc.constantFrom('one', 'two', 'three'),
    prompt: fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: 300 }),
    maxTokens: fc.integer({ min: 1, max: 30 }),
    stop: fc.array(fc.constantFrom('a', '\n', 'the', '\ufffd\ufffd'), { maxLength: 2 }),
    sampling,
  })
  .map((asked) => ({ kind: 'submit', asked }));

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: submit },
  { weight: 1, arbitrary: fc.nat(20).map((at): Command => ({ kind: 'cancel', at })) },
  { weight: 4, arbitrary: fc.nat(12).map((count): Command => ({ kind: 'step', count })) },
);

interface Outcome {
  readonly asked: GenerationRequest;
  text: string;
  ends: string[];
}

/** Plays commands against a scheduler; the outcome of every request that was taken. */
function play(
  commands: readonly Command[],
  { scheduler, model }: { scheduler: Scheduler; model: FakeModel },
): Outcome[] {
  const outcomes = new Map<string, Outcome>();
  const read = ({ deltas, failed, cancelled, stats }: StepEvents): void => {
    expect(stats.queued).toBeLessThanOrEqual(LIMITS.queuedMax);
    expect(stats.cacheBytes).toBeLessThanOrEqual(LIMITS.cacheBytesMax);
    expect(model.liveSequences).toBeLessThanOrEqual(LIMITS.runningMax);
    for (const { id, text, finish } of deltas) {
      const outcome = outcomes.get(id);
      expect(outcome?.ends).toEqual([]);
      if (outcome === undefined) continue;
      outcome.text += text;
      if (finish !== undefined) outcome.ends.push(finish.reason);
    }
    for (const { id } of failed) outcomes.get(id)?.ends.push('failed');
    for (const id of cancelled) outcomes.get(id)?.ends.push('cancelled');
  };
  for (const [at, step] of commands.entries()) {
    if (step.kind === 'step') {
      for (let count = 0; count < step.count && scheduler.hasWork; count += 1) {
        read(scheduler.runStep());
      }
    } else if (step.kind === 'cancel') {
      const id = [...outcomes.keys()][step.at];
      if (id !== undefined) scheduler.cancel(id);
    } else {
      const asked = request(String(at), step.asked);
      if (scheduler.queued === LIMITS.queuedMax) {
        expect(() => scheduler.submit(asked)).toThrow('waiting');
      } else {
        scheduler.submit(asked);
        outcomes.set(asked.id, { asked, text: '', ends: [] });
      }
    }
  }
  for (const events of runAll(scheduler)) read(events);
  return [...outcomes.values()];
}

describe('any order of arrivals, cancels and ends', () => {
  it('never changes what a request is answered, and ends each exactly once', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 30 }), (commands) => {
        const { contextTokensMax, cacheBytesMax, stepTokensMax } = LIMITS;
        const model = fakeModel({ contextLength: contextTokensMax, cacheBytesMax, stepTokensMax });
        const { scheduler } = build(LIMITS, model);
        const outcomes = play(commands, { scheduler, model });
        expect(model.liveSequences).toBe(0);
        expect(scheduler.stats()).toMatchObject({ queued: 0, running: 0, cacheBytes: 0 });
        const alone = { model: fakeModel({ stepTokensMax: 1000 }), tokenizer };
        for (const { asked, text, ends } of outcomes) {
          const seeded = { seed: 1n, ...asked.options.sampling };
          const expected = answerAlone(
            alone,
            { ...asked, options: { ...asked.options, sampling: seeded } },
            scheduler.limits.contextTokensMax,
          );
          expect(ends).toHaveLength(1);
          if (ends[0] === 'cancelled') {
            expect(expected.text.startsWith(text)).toBe(true);
          } else {
            expect({ text, reason: ends[0] }).toEqual(expected);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('preempts for memory in some of those orders, or the property shows too little', () => {
    const model = fakeModel({ eosBias: -100, cacheBytesMax: LIMITS.cacheBytesMax });
    const { scheduler } = build({ ...LIMITS, stepTokensMax: 256 }, model);
    for (const id of ['a', 'b', 'c']) {
      const prompt = Array.from({ length: 240 }, () => 1);
      scheduler.submit(request(id, { prompt, maxTokens: 100 }));
    }
    const events = runAll(scheduler);
    expect(events.at(-1)?.stats.preemptions).toBeGreaterThan(0);
    for (const id of ['a', 'b', 'c']) {
      expect(finishOf(deltasOf(events, id))).toMatchObject({ completionTokens: 100 });
    }
  });
});
