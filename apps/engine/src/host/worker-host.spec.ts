import {
  closeSync,
  existsSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { SanctumError } from '@sanctum/errors';
import type { OpenFile } from '@sanctum/manifest';
import { GREEDY } from '@sanctum/generation';
import { createLogger } from '@sanctum/service-kit';
import type { SubmitMessage } from '../protocol.js';
import { WorkerHost, type WorkerHostOptions, type WorkerRestart } from './worker-host.js';
import type { AnswerEvent } from './answer-book.js';

/** A program that speaks the worker's side of the protocol and misbehaves on demand. */
const PROGRAM = `
import { appendFileSync, readFileSync } from 'node:fs';
const info = { contextLength: 8, limits: { queuedMax: 2, runningMax: 1 }, library: {} };
const stats = { queued: 0, running: 1 };
const finish = { reason: 'stop', promptTokens: 1, completionTokens: 1 };
let tellProbed = () => {};
process.send({ 'watch:import': ['noise'] });
process.on('disconnect', () => process.exit(0));
process.on('message', (message) => {
  switch (message.type) {
    case 'load':
      if (message.kernels.library === 'fatal') {
        const error = { code: 'model_invalid', message: 'bad weights' };
        process.send({ type: 'fatal', error }, () => process.exit(1));
        return;
      }
      if (message.kernels.library === 'die') process.exit(3);
      if (message.kernels.library === 'hang') return;
      if (message.kernels.library === 'tell probed') {
        tellProbed = () => appendFileSync(message.model.id, '.');
      }
      process.send({ type: 'progress', phase: 'weights', elapsedMs: 5 });
      if (message.kernels.library === 'hang second') {
        appendFileSync(message.model.id, '.');
        if (readFileSync(message.model.id).length === 2) return;
      }
      process.send({ type: 'loaded', info });
      return;
    case 'submit':
      if (message.prompt.text === 'silence') return;
      if (message.prompt.text === 'exit') process.exit(7);
      process.send({ type: 'accepted', id: message.id, promptTokens: 1 });
      if (message.prompt.text === 'wait') return;
      process.send({ type: 'step', stats, deltas: [{ id: message.id, text: 'a', tokens: [1] }] });
      process.send({ type: 'step', stats, deltas: [{ id: message.id, text: '', tokens: [], finish }] });
      return;
    case 'cancel':
      process.send({ type: 'cancelled', id: message.id });
      return;
    case 'drain':
      process.send({ type: 'drained' });
      return;
    case 'probe':
      if (message.id.endsWith('-2')) return;
      process.send({ type: 'probed', id: message.id, elapsedMs: 1 }, tellProbed);
  }
});
`;

/** Longer than a busy machine keeps a worker from answering, and waited for where none answers. */
const PROBE_TIMEOUT_MS = 3000;

let root: string;
let program: string;
let hosts: WorkerHost[] = [];

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'sanctum-host-'));
  program = join(root, 'worker.mjs');
  writeFileSync(program, PROGRAM);
});

afterEach(async () => {
  await Promise.all(hosts.map((host) => host.stop()));
  hosts = [];
});

afterAll(() => {
  rmSync(root, { recursive: true });
});

interface Trial extends Partial<WorkerHostOptions> {
  readonly assertUnchanged?: () => void;
  readonly library?: string;
  readonly files?: readonly OpenFile[];
}

function create({
  assertUnchanged = () => undefined,
  library,
  files = [],
  ...change
}: Trial = {}): WorkerHost {
  const host = new WorkerHost({
    program,
    modelId: 'tiny',
    model: {
      digest: '',
      keyId: '',
      header: {},
      alerts: [],
      files,
      recordServed: () => undefined,
      close: () => undefined,
      assertUnchanged,
    },
    kernels: { mode: 'exact', ...(library === undefined ? {} : { library }) },
    limits: {},
    logger: createLogger({ service: 'engine', level: 'silent' }),
    onUnproven: () => undefined,
    ...change,
  });
  hosts.push(host);
  return host;
}

function submit(
  host: WorkerHost,
  text: string,
): { events: AnswerEvent[]; end: Promise<AnswerEvent> } {
  const events: AnswerEvent[] = [];
  const end = new Promise<AnswerEvent>((resolve) => {
    const request = {
      id: `${text}-${Math.random()}`,
      client: 'spec',
      prompt: { kind: 'text', text },
    };
    host.submit(request as unknown as SubmitMessage, (event) => {
      events.push(event);
      const ended = event.type === 'failed' || event.type === 'cancelled';
      if (ended || (event.type === 'delta' && event.delta.finish !== undefined)) resolve(event);
    });
  });
  return { events, end };
}

const nextRestart = (host: WorkerHost): Promise<WorkerRestart> =>
  new Promise((resolve) => host.onRestart(resolve));

describe('WorkerHost', () => {
  it('loads, tells phases, and passes an answer on to its one end', async () => {
    const phases: string[] = [];
    const host = create({ onPhase: (phase) => phases.push(phase) });
    expect(() => host.assertServing()).toThrow(/being loaded/);
    await host.start();
    expect(phases).toEqual(['weights']);
    expect(host.state).toBe('ready');
    const { events, end } = submit(host, 'hello');
    await end;
    expect(events.map(({ type }) => type)).toEqual(['accepted', 'delta', 'delta']);
    expect(host.open).toBe(0);
  });

  it('fails the first load with what the worker said, or how it died', async () => {
    await expect(create({ library: 'fatal' }).start()).rejects.toThrow('bad weights');
    await expect(create({ library: 'die' }).start()).rejects.toThrow(
      /died while loading \(code 3\)/,
    );
  });

  it('fails open answers when the worker dies, and serves again', async () => {
    const host = create();
    await host.start();
    const waiting = submit(host, 'wait');
    const restarted = nextRestart(host);
    const exit = submit(host, 'exit');
    expect(await waiting.end).toMatchObject({ type: 'failed', error: { code: 'worker_failed' } });
    expect(await exit.end).toMatchObject({ type: 'failed' });
    expect(host.state).toBe('restarting');
    expect(() => host.assertServing()).toThrow(SanctumError);
    expect(await host.isAlive()).toBe(false);
    expect(await restarted).toMatchObject({
      ...{ cause: 'exit', exit: { code: 7 }, restarts: 1, requestsLost: 2 },
    });
    await submit(host, 'again').end;
  });

  it('kills a worker that owes an answer and says nothing', async () => {
    const host = create({ life: { stepTimeoutMs: 50 } });
    await host.start();
    const restarted = nextRestart(host);
    expect(await submit(host, 'silence').end).toMatchObject({ type: 'failed' });
    expect(await restarted).toMatchObject({ cause: 'unresponsive' });
  });

  it('gives up the first load of a worker that says nothing', async () => {
    const host = create({ library: 'hang', life: { loadTimeoutMs: 500 } });
    await expect(host.start()).rejects.toThrow(
      /died while loading \(SIGKILL, after a long silence/,
    );
  });

  it('kills a worker that gets stuck when it is loaded again', async () => {
    const modelId = join(root, 'loads');
    // Longer than a process takes to start; only the worker that is stuck is waited for so long.
    const host = create({ library: 'hang second', modelId, life: { loadTimeoutMs: 4000 } });
    await host.start();
    const restarted = nextRestart(host);
    expect(await submit(host, 'exit').end).toMatchObject({ type: 'failed' });
    expect(await restarted).toMatchObject({ cause: 'unresponsive', restarts: 2 });
    await submit(host, 'again').end;
  });

  it('kills a worker that is idle and does not give the token it is asked for', async () => {
    const host = create({ life: { provenMs: 0, probeTimeoutMs: PROBE_TIMEOUT_MS } });
    await host.start();
    expect(await host.isAlive()).toBe(true);
    const restarted = nextRestart(host);
    expect(await host.isAlive()).toBe(false);
    expect(await restarted).toMatchObject({ cause: 'unresponsive', requestsLost: 0 });
  });

  it('does not take a worker for hung because this process was held', async () => {
    const modelId = join(root, 'probed');
    const life = { provenMs: 0, probeTimeoutMs: 200 };
    const host = create({ library: 'tell probed', modelId, life });
    await host.start();
    const alive = host.isAlive();
    const never = new Int32Array(new SharedArrayBuffer(4));
    do Atomics.wait(never, 0, 0, 600);
    while (!existsSync(modelId));
    expect(await alive).toBe(true);
  });

  it('cancels, and ignores ids it does not know', async () => {
    const host = create();
    await host.start();
    host.cancel('unknown');
    const request = { id: 'x', client: 'spec', prompt: { kind: 'text', text: 'wait' } };
    const end = new Promise<AnswerEvent>((resolve) => {
      host.submit(request as unknown as SubmitMessage, (event) => {
        if (event.type === 'accepted') host.cancel('x');
        else resolve(event);
      });
    });
    expect(await end).toEqual({ type: 'cancelled' });
  });

  it('drains once, refuses what comes, and stops', async () => {
    const host = create();
    await host.start();
    await host.drain();
    await expect(submit(host, 'late').end).rejects.toThrow(/shutting down/);
    await host.stop();
    expect(host.state).toBe('stopped');
    await host.drain();
  });

  it('ends open answers when it is stopped', async () => {
    const host = create();
    await host.start();
    const { end } = submit(host, 'wait');
    await host.stop();
    expect(await end).toMatchObject({ type: 'failed', error: { code: 'draining' } });
  });

  it('never maps files that changed: at the start, after mapping, or at a restart', async () => {
    let changed = true;
    const assertUnchanged = (): void => {
      if (changed) throw new SanctumError('manifest_refused', 'weights were changed');
    };
    await expect(create({ assertUnchanged }).start()).rejects.toThrow('weights were changed');
    changed = false;
    const told = new Promise<unknown>((resolve) => {
      const host = create({ assertUnchanged, onUnproven: resolve });
      void host.start().then(() => {
        changed = true;
        void submit(host, 'exit');
      });
    });
    expect(await told).toMatchObject({ code: 'manifest_refused' });
    let calls = 0;
    const late = create({
      assertUnchanged: () => {
        calls += 1;
        if (calls === 2) throw new SanctumError('manifest_refused', 'changed while mapping');
      },
    });
    await expect(late.start()).rejects.toThrow('changed while mapping');
  });
});

describe('WorkerHost with a model', () => {
  const folder = fileURLToPath(new URL('../../../../deploy/models/padawan', import.meta.url));
  const worker = fileURLToPath(new URL('../../out-tsc/lib/worker/main.js', import.meta.url));
  const request: Omit<SubmitMessage, 'type'> = {
    ...{ id: 'held', client: 'spec', prompt: { kind: 'text', text: 'go on' } },
    options: { sampling: GREEDY, maxTokens: 4, stop: [], ignoreEos: true },
  };
  let files: OpenFile[] = [];

  beforeAll(() => {
    files = readdirSync(folder).map((name) => {
      const fd = openSync(join(folder, name), 'r');
      return { name, fd, size: fstatSync(fd).size };
    });
  });

  afterAll(() => {
    for (const { fd } of files) closeSync(fd);
  });

  /** A host whose worker is stopped; the function returned lets it go on. */
  async function held(): Promise<{ host: WorkerHost; pid: number; release: () => void }> {
    const life = { provenMs: 0, probeTimeoutMs: PROBE_TIMEOUT_MS };
    const host = create({ program: worker, files, life });
    await host.start();
    expect(await host.isAlive()).toBe(true);
    const { pid = -1 } = host;
    process.kill(pid, 'SIGSTOP');
    return { host, pid, release: () => process.kill(pid, 'SIGCONT') };
  }

  it('replaces a worker that is stopped while nobody waits for it', async () => {
    const { host, pid } = await held();
    const restarted = nextRestart(host);
    expect(await host.isAlive()).toBe(false);
    expect(await restarted).toMatchObject({ cause: 'unresponsive', exit: { signal: 'SIGKILL' } });
    expect(host.pid).not.toBe(pid);
    expect(await host.isAlive()).toBe(true);
  });

  it('leaves a worker alone that does not answer while it has a step to compute', async () => {
    const { host, pid, release } = await held();
    const end = new Promise<AnswerEvent>((resolve) => {
      host.submit(request, (event) => {
        if (event.type !== 'accepted') resolve(event);
      });
    });
    expect(await host.isAlive()).toBe(false);
    release();
    expect(await end).toMatchObject({ type: 'delta' });
    expect(host.pid).toBe(pid);
    expect(await host.isAlive()).toBe(true);
  });
});
