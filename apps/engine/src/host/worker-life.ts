import { Patience } from './patience.js';

export interface LifeLimits {
  /** Silence of a worker that owes answers. */
  readonly stepTimeoutMs: number;
  /** Until an idle worker has computed the token it was asked for. */
  readonly probeTimeoutMs: number;
  /** Silence of a worker that loads. */
  readonly loadTimeoutMs: number;
  /** A model step this recent proves life without asking. */
  readonly provenMs: number;
}

export const DEFAULT_LIFE_LIMITS: LifeLimits = {
  // A step of the largest chunk on a slow machine takes well below this.
  stepTimeoutMs: 120_000,
  probeTimeoutMs: 10_000,
  // The longest phase reads all weights: 100 GB from a disk of 200 MB/s take less than this.
  loadTimeoutMs: 600_000,
  provenMs: 60_000,
};

export interface WorkerLifeOptions extends LifeLimits {
  /** Asks the worker for one token; answered through {@link WorkerLife.onProbed}. */
  readonly askToken: (id: string) => void;
  /** The worker was silent for too long while it loaded, owed answers, or was idle and asked. */
  readonly onHang: () => void;
}

interface Probe {
  readonly alive: Promise<boolean>;
  readonly settle: (alive: boolean) => void;
}

/** Whether a worker computes, judged by what it sends. */
export class WorkerLife {
  readonly #options: WorkerLifeOptions;
  readonly #loading: Patience;
  readonly #silence: Patience;
  #lastStepAtMs = 0;
  #owedAnswers = 0;
  #probe: Probe | undefined;
  #probes = 0;

  constructor(options: WorkerLifeOptions) {
    this.#options = options;
    this.#loading = new Patience(options.loadTimeoutMs, options.onHang);
    this.#silence = new Patience(options.stepTimeoutMs, options.onHang);
  }

  /** Called when a worker is started, and whenever it got further: silence counts from now. */
  onLoading(): void {
    this.#loading.renew();
  }

  onLoaded(): void {
    this.#loading.end();
    this.onStep();
  }

  onStep(): void {
    this.#lastStepAtMs = Date.now();
  }

  onProbed(): void {
    this.onStep();
    this.#settle(true);
  }

  onDeath(): void {
    this.#loading.end();
    this.watch(0);
    this.#settle(false);
  }

  /** A recent step proves life; only an idle worker is asked. Callers share one question. */
  isAlive(): Promise<boolean> {
    if (Date.now() - this.#lastStepAtMs < this.#options.provenMs) return Promise.resolve(true);
    this.#probe ??= this.#startProbe();
    return this.#probe.alive;
  }

  /** Called whenever the worker spoke or was given work: silence counts from now. */
  watch(owedAnswers: number): void {
    this.#owedAnswers = owedAnswers;
    if (owedAnswers > 0) this.#silence.renew();
    else this.#silence.end();
  }

  #startProbe(): Probe {
    let resolve: (alive: boolean) => void = () => undefined;
    const alive = new Promise<boolean>((settle) => (resolve = settle));
    const patience = new Patience(this.#options.probeTimeoutMs, () => this.#onUnanswered());
    patience.renew();
    this.#probes += 1;
    this.#options.askToken(`probe-${this.#probes}`);
    return {
      alive,
      settle: (verdict) => {
        patience.end();
        resolve(verdict);
      },
    };
  }

  /** A worker that owes answers may be in a long step: how long is for `stepTimeoutMs` to say. */
  #onUnanswered(): void {
    this.#settle(false);
    if (this.#owedAnswers === 0) this.#options.onHang();
  }

  #settle(alive: boolean): void {
    this.#probe?.settle(alive);
    this.#probe = undefined;
  }
}
