import type { Gauge, Registry } from 'prom-client';

export type Labels<Name extends string> = Readonly<Record<Name, string | number>>;

interface SeriesOptions<Name extends string> {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly Name[];
}

/** The series of one metric, found by the values of its labels without making a key of them. */
class SeriesTree<Name extends string, Series> {
  readonly all: { readonly labels: Labels<string>; readonly series: Series }[] = [];
  readonly #names: readonly Name[];
  readonly #make: () => Series;
  readonly #root = new Map<string | number, unknown>();
  #only: Series | undefined;

  constructor(names: readonly Name[], make: () => Series) {
    this.#names = names;
    this.#make = make;
    if (names.length === 0) this.#only = this.#add({});
  }

  of(labels: Labels<Name>): Series {
    if (this.#only !== undefined) return this.#only;
    let level = this.#root;
    const last = this.#names.length - 1;
    for (let at = 0; at < last; at++) {
      const value = labels[this.#names[at] as Name];
      let next = level.get(value) as Map<string | number, unknown> | undefined;
      if (next === undefined) level.set(value, (next = new Map()));
      level = next;
    }
    const value = labels[this.#names[last] as Name];
    let series = level.get(value) as Series | undefined;
    if (series === undefined) level.set(value, (series = this.#add({ ...labels })));
    return series;
  }

  #add(labels: Labels<string>): Series {
    const series = this.#make();
    this.all.push({ labels, series });
    return series;
  }
}

/**
 * A number that only grows, one per set of labels. Counts as prom-client's counters do, in a
 * twentieth of the time: those make and hash a text of the labels at every step.
 */
export class Counter<Name extends string = never> {
  readonly #tree: SeriesTree<Name, { value: number }>;

  constructor(options: SeriesOptions<Name>, registry: Registry) {
    this.#tree = new SeriesTree(options.labels, () => ({ value: 0 }));
    const { name, help } = options;
    const read = () =>
      this.#tree.all.map(({ labels, series }) => ({ labels, value: series.value }));
    expose(registry, { name, help, type: 'counter', read });
  }

  /** Throws RangeError for a step that is negative or no number. */
  inc(labels: Labels<Name>, step = 1): void {
    if (!(step >= 0 && step < Infinity)) throw new RangeError(`A counter cannot grow by ${step}.`);
    this.#tree.of(labels).value += step;
  }
}

interface Distribution {
  /** Per bucket, not cumulative; the last one has no upper bound. */
  readonly counts: number[];
  sum: number;
}

/** How often values fell into which bucket, one distribution per set of labels. */
export class Histogram<Name extends string = never> {
  readonly #bounds: readonly number[];
  readonly #tree: SeriesTree<Name, Distribution>;

  constructor(
    options: SeriesOptions<Name> & { readonly buckets: readonly number[] },
    registry: Registry,
  ) {
    this.#bounds = options.buckets;
    const empty = options.buckets.map(() => 0);
    this.#tree = new SeriesTree(options.labels, () => ({ counts: [...empty, 0], sum: 0 }));
    const { name, help } = options;
    const read = () =>
      this.#tree.all.flatMap(({ labels, series }) => this.#samples(name, labels, series));
    expose(registry, { name, help, type: 'histogram', read });
  }

  /** Throws RangeError for a value that is no finite number. */
  observe(labels: Labels<Name>, value: number): void {
    if (!Number.isFinite(value)) throw new RangeError(`${value} cannot be observed.`);
    const distribution = this.#tree.of(labels);
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] ?? Infinity)) at++;
    distribution.counts[at] = (distribution.counts[at] ?? 0) + 1;
    distribution.sum += value;
  }

  #samples(name: string, labels: Labels<string>, { counts, sum }: Distribution): Sample[] {
    let below = 0;
    const buckets = counts.map((count, at) => {
      below += count;
      const le = this.#bounds[at] ?? '+Inf';
      return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: below };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: below },
    ];
  }
}

interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

interface Exposed {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'histogram';
  readonly read: () => Sample[];
}

/** A registry asks its metrics for nothing but their name and what `get` resolves to. */
function expose(registry: Registry, metric: Exposed): void {
  const { name, help, type, read } = metric;
  const get = () => Promise.resolve({ name, help, type, values: read(), aggregator: 'sum' });
  registry.registerMetric({ name, get } as unknown as Gauge);
}
