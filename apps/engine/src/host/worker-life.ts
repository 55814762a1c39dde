export interface WorkerLifeOptions {
  readonly stepTimeoutMs: number;
  readonly probeTimeoutMs: number;
  /** Asks the worker for one token; answered through {@link WorkerLife.onProbed}. */
  readonly askToken: (id: string) => void;
  /** The worker owes answers and has said nothing for `stepTimeoutMs`. */
  readonly onHang: () => void;
}

/** A model step this recent proves life without asking. */
const LIFE_MS = 60_000;

interface Probe {
  readonly alive: Promise<boolean>;
  readonly settle: (alive: boolean) => void;
}

/** Whether a worker computes, judged by what it sends. */
export class WorkerLife {
  readonly #options: WorkerLifeOptions;
  #lastStepAtMs = 0;
  #silence: NodeJS.Timeout | undefined;
  #probe: Probe | undefined;
  #probes = 0;

  constructor(options: WorkerLifeOptions) {
    this.#options = options;
  }

  onStep(): void {
    this.#lastStepAtMs = Date.now();
  }

  onProbed(): void {
    this.onStep();
    this.#settle(true);
  }

  onDeath(): void {
    this.watch(0);
    this.#settle(false);
  }

  /** A recent step proves life; only an idle worker is asked. Callers share one question. */
  isAlive(): Promise<boolean> {
    if (Date.now() - this.#lastStepAtMs < LIFE_MS) return Promise.resolve(true);
    this.#probe ??= this.#startProbe();
    return this.#probe.alive;
  }

  /** Called whenever the worker spoke or was given work: silence counts from now. */
  watch(owedAnswers: number): void {
    if (owedAnswers > 0) {
      this.#silence ??= setTimeout(this.#options.onHang, this.#options.stepTimeoutMs);
      this.#silence.refresh();
      return;
    }
    clearTimeout(this.#silence);
    this.#silence = undefined;
  }

  #startProbe(): Probe {
    let resolve: (alive: boolean) => void = () => undefined;
    const alive = new Promise<boolean>((settle) => (resolve = settle));
    const timeout = setTimeout(() => this.#settle(false), this.#options.probeTimeoutMs);
    this.#probes += 1;
    this.#options.askToken(`probe-${this.#probes}`);
    return {
      alive,
      settle: (verdict) => {
        clearTimeout(timeout);
        resolve(verdict);
      },
    };
  }

  #settle(alive: boolean): void {
    this.#probe?.settle(alive);
    this.#probe = undefined;
  }
}
