import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  copyFileSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { GREEDY, type GenerationOptions } from '@sanctum/generation';
import { ENDLESS, widenContext } from '../testing/sealed-model.js';
import type { Delta, LoadMessage, MainMessage, Prompt, WorkerMessage } from '../protocol.js';

const PROGRAM = fileURLToPath(new URL('../../out-tsc/lib/worker/main.js', import.meta.url));
const MODEL = fileURLToPath(new URL('../../../../deploy/models/padawan', import.meta.url));
const FIRST_FD = 4;

const OPTIONS: GenerationOptions = { sampling: GREEDY, maxTokens: 16, stop: [], ignoreEos: true };

type Json = Record<string, unknown>;
type Of<Type extends WorkerMessage['type']> = Extract<WorkerMessage, { type: Type }>;

/** A forked worker and all it has said. */
class Worker {
  readonly child: ChildProcess;
  readonly said: WorkerMessage[] = [];
  readonly exited: Promise<unknown[]>;
  readonly #silent: Promise<unknown>;
  readonly #load: LoadMessage;

  constructor(folder = MODEL, kernels: Partial<LoadMessage['kernels']> = {}) {
    const names = readdirSync(folder);
    const fds = names.map((name) => openSync(join(folder, name), 'r'));
    this.child = fork(PROGRAM, [], {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...fds],
    });
    const files = names.map((name, at) => {
      const fd = fds[at] ?? -1;
      const { size } = fstatSync(fd);
      closeSync(fd);
      return { name, fd: FIRST_FD + at, size };
    });
    this.#load = {
      type: 'load',
      model: { id: 'padawan', files },
      kernels: { mode: 'exact', threads: 2, ...kernels },
      limits: {},
    };
    this.exited = once(this.child, 'exit');
    // Not `exit`, which may come before the worker's last words.
    this.#silent = new Promise((resolve) => this.child.once('close', resolve));
    this.child.on('message', (message) => this.said.push(message as WorkerMessage));
  }

  send(message: MainMessage): void {
    this.child.send(message);
  }

  submit(id: string, prompt: Prompt, options: Partial<GenerationOptions> = {}): void {
    this.send({
      type: 'submit',
      id,
      client: 'spec',
      prompt,
      options: { ...OPTIONS, ...options },
    });
  }

  /** What `send` sends lies ready, as far as the channel holds it, before any of it is worked on. */
  atOnce(send: () => void): void {
    this.child.kill('SIGSTOP');
    send();
    this.child.kill('SIGCONT');
  }

  async load(): Promise<Of<'loaded'>> {
    this.send(this.#load);
    return await this.until('loaded');
  }

  /** The first message of a type that passes, said already or still to come. */
  async until<Type extends WorkerMessage['type']>(
    type: Type,
    passes: (message: Of<Type>) => boolean = () => true,
  ): Promise<Of<Type>> {
    for (let at = 0; ; at += 1) {
      while (at >= this.said.length) {
        await Promise.race([
          once(this.child, 'message'),
          this.#silent.then((code) => {
            throw new Error(`the worker exited with ${String(code)} before ${type}`);
          }),
        ]);
      }
      const message = this.said[at];
      if (message?.type === type && passes(message as Of<Type>)) return message as Of<Type>;
    }
  }

  deltas(id: string): Delta[] {
    return this.said
      .filter((message) => message.type === 'step')
      .flatMap(({ deltas }) => deltas.filter((delta) => delta.id === id));
  }

  /** The whole answer, once it has ended. */
  async answer(id: string): Promise<{ text: string; last: Delta }> {
    await this.until('step', ({ deltas }) =>
      deltas.some((delta) => delta.id === id && delta.finish !== undefined),
    );
    const deltas = this.deltas(id);
    const last = deltas.at(-1);
    if (last === undefined) throw new Error(`nothing came for ${id}`);
    return { text: deltas.map(({ text }) => text).join(''), last };
  }

  async stop(): Promise<void> {
    if (this.child.connected) this.child.disconnect();
    await this.exited;
  }
}

const chat = (content: string): Prompt => ({
  kind: 'chat',
  messages: [{ role: 'user', content }],
  enableThinking: false,
});
const text = (prompt: string): Prompt => ({ kind: 'text', text: prompt });

describe('a worker', () => {
  let worker: Worker;
  beforeAll(async () => {
    worker = new Worker();
    await worker.load();
  });
  afterAll(() => worker.stop());

  it('loads in phases and says what it serves', async () => {
    const { info } = await worker.until('loaded');
    const phases = worker.said.filter((message) => message.type === 'progress');
    expect(phases.map(({ phase }) => phase)).toEqual([
      'library',
      'tokenizer',
      'weights',
      'warm_up',
    ]);
    expect(info.model.modelType).toBe('qwen3_5');
    expect(info.library).toMatchObject({ name: 'libsanctum_cpu', mode: 'exact', threads: 2 });
    expect(info.contextLength).toBe(info.model.contextLength);
  });

  it('accepts a chat and answers it with real tokens', async () => {
    worker.submit('chat', chat('What is 2+2? Respond with only the number.'), { ignoreEos: false });
    const { promptTokens } = await worker.until('accepted', ({ id }) => id === 'chat');
    const { text: answer, last } = await worker.answer('chat');
    expect(answer).not.toBe('');
    expect(last.finish).toMatchObject({ promptTokens, cachedTokens: 0 });
    expect(last.finish?.completionTokens).toBeGreaterThan(0);
  });

  it('answers many at once with what each is answered alone, drawn or greedy', async () => {
    const asked = Array.from({ length: 12 }, (_, at) => ({
      prompt: text(`${'Count from '.repeat(1 + (at % 4) * 40)}${at}`),
      options: {
        maxTokens: 8 + at,
        sampling: at % 2 === 0 ? GREEDY : { ...GREEDY, temperature: 1, seed: BigInt(at) },
      },
    }));
    for (const [at, { prompt, options }] of asked.entries()) {
      worker.submit(`together-${at}`, prompt, options);
    }
    const together = await Promise.all(asked.map((_, at) => worker.answer(`together-${at}`)));
    for (const [at, { prompt, options }] of asked.entries()) {
      worker.submit(`alone-${at}`, prompt, options);
      const alone = await worker.answer(`alone-${at}`);
      expect(together[at]?.text).toBe(alone.text);
      expect(together[at]?.last.finish?.completionTokens).toBe(8 + at);
    }
  });

  it('reports log-probabilities that agree with the greedy choice', async () => {
    worker.submit('logprobs', text('Say hello.'), { logprobs: 2, maxTokens: 4 });
    await worker.answer('logprobs');
    const reports = worker.deltas('logprobs').flatMap(({ logprobs }) => logprobs ?? []);
    expect(reports).toHaveLength(4);
    for (const { token, logprob, top } of reports) {
      expect(top).toHaveLength(2);
      expect(top[0]).toMatchObject({ token, logprob });
    }
  });

  it('stops at a stop sequence, which never shows', async () => {
    worker.submit('plain', text('abc'), { maxTokens: 30 });
    const plain = (await worker.answer('plain')).text;
    const stop = Array.from(plain).slice(3, 6).join('');
    worker.submit('stopped', text('abc'), { maxTokens: 30, stop: [stop] });
    const stopped = await worker.answer('stopped');
    expect(stopped.text).toBe(plain.slice(0, plain.indexOf(stop)));
    expect(stopped.last.finish?.reason).toBe('stop');
  });

  it('refuses a prompt beyond the context, and 10 MB, while answers go on', async () => {
    worker.submit('running', text('go on'), { maxTokens: 150 });
    worker.submit('long', text('word '.repeat(5000)));
    worker.submit('huge', chat('a'.repeat(10 * 1024 * 1024)));
    for (const id of ['long', 'huge']) {
      const { error } = await worker.until('failed', (message) => message.id === id);
      expect(error.code).toBe('context_length_exceeded');
    }
    const { last } = await worker.answer('running');
    expect(last.finish).toMatchObject({ reason: 'length', completionTokens: 150 });
  });

  it('refuses token ids that the model does not have', async () => {
    worker.submit('ids', { kind: 'tokens', tokens: [1, 99_999] });
    const { error } = await worker.until('failed', ({ id }) => id === 'ids');
    expect(error).toMatchObject({ code: 'invalid_request', param: 'prompt' });
  });

  it('takes 1,000 at once: a full queue refuses with a time, each ends once', async () => {
    const ids = Array.from({ length: 1000 }, (_, at) => `burst-${at}`);
    worker.atOnce(() => {
      for (const id of ids) worker.submit(id, text('x'), { maxTokens: 2 });
    });
    worker.send({ type: 'probe', id: 'after the burst' });
    await worker.until('probed', ({ id }) => id === 'after the burst');
    const failed = worker.said
      .filter((message) => message.type === 'failed')
      .filter(({ id }) => id.startsWith('burst'));
    for (const { error } of failed) {
      expect(error).toMatchObject({ code: 'queue_full' });
      expect(error.retryAfterS).toBeGreaterThanOrEqual(1);
    }
    const refused = new Set(failed.map(({ id }) => id));
    expect(refused.size).toBe(failed.length);
    expect(refused.size).toBeGreaterThan(0);
    for (const id of ids.filter((each) => !refused.has(each))) {
      await worker.answer(id);
      expect(worker.deltas(id).filter(({ finish }) => finish !== undefined)).toHaveLength(1);
    }
  });
});

describe('a worker in the middle of a long answer', () => {
  let folder: string;
  let worker: Worker;
  beforeAll(async () => {
    folder = copyOfModel();
    widenContext(folder);
    worker = new Worker(folder);
    await worker.load();
  });
  afterAll(async () => {
    await worker.stop();
    rmSync(folder, { recursive: true });
  });

  async function begin(id: string): Promise<void> {
    worker.submit(id, text('go on'), { maxTokens: ENDLESS.max_tokens });
    await worker.until('step', ({ deltas }) => deltas.some((delta) => delta.id === id));
  }

  it('ends it at the next step when it is cancelled', async () => {
    await begin('cancelled');
    worker.send({ type: 'cancel', id: 'cancelled' });
    await worker.until('cancelled', ({ id }) => id === 'cancelled');
    const count = worker.deltas('cancelled').length;
    worker.submit('after', text('x'), { maxTokens: 1 });
    await worker.answer('after');
    expect(worker.deltas('cancelled')).toHaveLength(count);
    expect(worker.deltas('cancelled').at(-1)?.finish).toBeUndefined();
  });

  it('proves that it computes without waiting for the queue', async () => {
    await begin('busy');
    worker.send({ type: 'probe', id: 'alive' });
    await worker.until('probed', ({ id }) => id === 'alive');
    expect(worker.deltas('busy').at(-1)?.finish).toBeUndefined();
    worker.send({ type: 'cancel', id: 'busy' });
    await worker.until('cancelled', ({ id }) => id === 'busy');
  });
});

describe('a worker with little memory for caches', () => {
  it('answers everybody all the same, in turns', async () => {
    const worker = new Worker(MODEL, { cacheLimitBytes: 700_000 });
    try {
      await worker.load();
      const prompt: Prompt = { kind: 'tokens', tokens: Array.from({ length: 240 }, () => 65) };
      const ids = Array.from({ length: 4 }, (_, at) => `small-${at}`);
      worker.atOnce(() => {
        for (const id of ids) worker.submit(id, prompt, { maxTokens: 40 });
      });
      const answers = await Promise.all(ids.map((id) => worker.answer(id)));
      for (const answer of answers) {
        expect(answer.text).toBe(answers[0]?.text);
        expect(answer.last.finish?.completionTokens).toBe(40);
      }
      const steps = worker.said.filter((message) => message.type === 'step');
      expect(Math.max(...steps.map(({ stats }) => stats.cacheBytes))).toBeLessThanOrEqual(700_000);
      expect(steps.at(-1)?.stats.preemptions).toBeGreaterThan(0);
    } finally {
      await worker.stop();
    }
  });
});

describe('memory that a cancelled answer leaves', () => {
  it('serves those who waited for it', async () => {
    const worker = new Worker(MODEL, { cacheLimitBytes: 700_000 });
    try {
      await worker.load();
      const long: Prompt = { kind: 'tokens', tokens: Array.from({ length: 900 }, () => 65) };
      worker.submit('long', long, { maxTokens: 1000 });
      await worker.until('step', ({ deltas }) => deltas.some(({ id }) => id === 'long'));
      const ids = Array.from({ length: 8 }, (_, at) => `waiting-${at}`);
      worker.atOnce(() => {
        for (const id of ids) worker.submit(id, text('go on'), { maxTokens: 5 });
        worker.send({ type: 'cancel', id: 'long' });
      });
      for (const id of ids) {
        const { last } = await worker.answer(id);
        expect(last.finish?.completionTokens).toBe(5);
      }
      expect(worker.said.filter(({ type }) => type === 'failed')).toEqual([]);
    } finally {
      await worker.stop();
    }
  });
});

describe('a worker of a test of its own', () => {
  let worker: Worker | undefined;
  let folder: string;
  beforeEach(() => {
    folder = copyOfModel();
  });
  afterEach(async () => {
    await worker?.stop();
    worker = undefined;
    rmSync(folder, { recursive: true });
  });

  it('drains: what runs ends, what comes is refused', async () => {
    worker = new Worker();
    await worker.load();
    worker.submit('last', text('go on'), { maxTokens: 50 });
    worker.send({ type: 'drain' });
    worker.submit('late', text('x'));
    const { error } = await worker.until('failed', ({ id }) => id === 'late');
    expect(error.code).toBe('draining');
    await worker.until('drained');
    expect(worker.deltas('last').at(-1)?.finish?.completionTokens).toBe(50);
  });

  it('comes when the main process lets go, in the middle of an answer', async () => {
    worker = new Worker();
    await worker.load();
    worker.submit('a', text('go on'), { maxTokens: 1500 });
    await worker.until('step');
    worker.child.disconnect();
    expect(await worker.exited).toEqual([0, null]);
  });

  it('comes when the main process is killed', async () => {
    const names = readdirSync(MODEL);
    const parent = spawn(
      process.execPath,
      ['--input-type=module', '--eval', PARENT, PROGRAM, MODEL, ...names],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    // The worker holds the same pipe: it closes only when both are gone.
    const closed = once(parent, 'close');
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    expect(line.toString()).toContain('computing');
    parent.kill('SIGKILL');
    expect(await closed).toEqual([null, 'SIGKILL']);
  });

  it('does not come from Ctrl-C, which is for the main process to decide', async () => {
    worker = new Worker();
    await worker.load();
    worker.child.kill('SIGINT');
    worker.child.kill('SIGTERM');
    worker.submit('a', text('x'), { maxTokens: 2 });
    expect((await worker.answer('a')).last.finish?.reason).toBe('length');
  });

  it('is told when a tokenizer is broken, with exit code 1', async () => {
    truncateSync(join(folder, 'tokenizer.json'), 5000);
    worker = new Worker(folder);
    void worker.load().catch(() => undefined);
    const { error } = await worker.until('fatal');
    expect(error).toMatchObject({ code: 'model_invalid', param: 'tokenizer.json' });
    expect(await worker.exited).toEqual([1, null]);
  });

  it('is told when tokenizer and model do not belong together', async () => {
    const file = join(folder, 'tokenizer.json');
    const json = JSON.parse(readFileSync(file, 'utf8')) as { added_tokens: object[] };
    json.added_tokens.push({ id: 5000, content: '<extra>', special: true });
    writeFileSync(file, JSON.stringify(json));
    worker = new Worker(folder);
    void worker.load().catch(() => undefined);
    const { error } = await worker.until('fatal');
    expect(error.message).toContain('do not belong together');
  });

  describe('a model whose files leave something open', () => {
    function forgetEos(): void {
      rmSync(join(folder, 'generation_config.json'));
      edit('config.json', (config) => {
        delete config['eos_token_id'];
        delete (config['text_config'] as Json)['eos_token_id'];
      });
    }

    function edit(name: string, change: (json: Json) => void): void {
      const file = join(folder, name);
      const json = JSON.parse(readFileSync(file, 'utf8')) as Json;
      change(json);
      writeFileSync(file, JSON.stringify(json));
    }

    async function fatal(): Promise<Of<'fatal'>['error']> {
      worker = new Worker(folder);
      void worker.load().catch(() => undefined);
      return (await worker.until('fatal')).error;
    }

    it('ends its answers where its tokenizer says', async () => {
      forgetEos();
      worker = new Worker(folder);
      const { info } = await worker.load();
      expect(info.model.eosTokenIds).toHaveLength(1);
      const question = chat('What is 2+2? Respond with only the number.');
      worker.submit('chat', question, { ignoreEos: false });
      expect((await worker.answer('chat')).last.finish?.reason).toBe('stop');
    });

    it('is refused when nothing says what ends an answer', async () => {
      forgetEos();
      edit('tokenizer_config.json', (config) => delete config['eos_token']);
      const error = await fatal();
      expect(error).toMatchObject({ code: 'model_invalid', param: 'eos_token_id' });
      expect(error.message).toContain('generation_config.json');
    });

    it('is refused when it scales rotations, wherever it says so', async () => {
      const scaled = { type: 'yarn', factor: 4, original_max_position_embeddings: 1024 };
      edit('config.json', (config) => {
        (config['text_config'] as Json)['rope_scaling'] = scaled;
      });
      expect(await fatal()).toMatchObject({ code: 'model_invalid', param: 'rope_scaling.type' });
    });
  });
});

function copyOfModel(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sanctum-worker-'));
  for (const name of readdirSync(MODEL)) copyFileSync(join(MODEL, name), join(folder, name));
  return folder;
}

/** A main process that loads a worker, gives it work and waits to be killed. */
const PARENT = `
import { fork } from 'node:child_process';
import { openSync, fstatSync } from 'node:fs';
const [program, folder, ...names] = process.argv.slice(1);
const fds = names.map((name) => openSync(folder + '/' + name, 'r'));
const child = fork(program, [], {
  serialization: 'advanced', execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...fds],
});
const files = names.map((name, at) => ({ name, fd: 4 + at, size: fstatSync(fds[at]).size }));
child.on('message', ({ type }) => {
  if (type === 'loaded') child.send({
    type: 'submit', id: 'a', client: 'c', prompt: { kind: 'text', text: 'x' },
    options: { sampling: { ...${JSON.stringify({ ...GREEDY, logitBias: undefined })},
      logitBias: new Map() }, stop: [], ignoreEos: true },
  });
  if (type === 'step') process.stdout.write('computing\\n');
});
child.send({
  type: 'load', model: { id: 'm', files }, kernels: { mode: 'exact', threads: 1 }, limits: {},
});
`;
