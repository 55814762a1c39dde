import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { Counter, Histogram } from './series.js';

export interface MetricOptions<Label extends string> {
  /** Without the prefix of the service. */
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly Label[];
}

export interface HistogramOptions<Label extends string> extends MetricOptions<Label> {
  readonly buckets: readonly number[];
}

export interface GaugeOptions<Label extends string> extends MetricOptions<Label> {
  /** Read when metrics are scraped, instead of being set. */
  readonly read?: () => number;
  /** Read likewise, one sample per set of labels; what is no longer there is no longer shown. */
  readonly readAll?: () => readonly GaugeSample<Label>[];
}

export interface GaugeSample<Label extends string> {
  readonly labels: Readonly<Record<Label, string | number>>;
  readonly value: number;
}

/** Gauges that prom-client names like counters, which `promtool check metrics` refuses; sums anyway. */
const MISNAMED_DEFAULTS = [
  'nodejs_active_resources_total',
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
];

/** One registry a service; every name begins with the service's prefix. */
export class Metrics {
  readonly registry = new Registry();
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
    collectDefaultMetrics({ register: this.registry, prefix, eventLoopMonitoringPrecision: 100 });
    for (const name of MISNAMED_DEFAULTS) this.registry.removeSingleMetric(`${prefix}${name}`);
  }

  counter<Label extends string = never>(options: MetricOptions<Label>): Counter<Label> {
    return new Counter(this.#named(options), this.registry);
  }

  gauge<Label extends string = never>(options: GaugeOptions<Label>): Gauge<Label> {
    const { read, readAll } = options;
    const configuration = this.#configuration(options);
    if (readAll !== undefined) {
      return new Gauge({
        ...configuration,
        collect(this: Gauge<Label>): void {
          this.reset();
          for (const { labels, value } of readAll()) this.set({ ...labels }, value);
        },
      });
    }
    return new Gauge({
      ...configuration,
      ...(read === undefined
        ? {}
        : {
            collect(this: Gauge<Label>): void {
              this.set(read());
            },
          }),
    });
  }

  histogram<Label extends string = never>(options: HistogramOptions<Label>): Histogram<Label> {
    return new Histogram({ ...this.#named(options), buckets: options.buckets }, this.registry);
  }

  #named<Label extends string>({ name, help, labels = [] }: MetricOptions<Label>) {
    return { name: `${this.#prefix}${name}`, help, labels };
  }

  #configuration<Label extends string>(options: MetricOptions<Label>) {
    const { name, help, labels } = this.#named(options);
    return { name, help, labelNames: labels, registers: [this.registry] };
  }
}
