import { describe, expect, it } from '@jest/globals';
import { Counter as PromCounter, Histogram as PromHistogram, Registry } from 'prom-client';
import { Counter, Histogram } from './series.js';

const NAMED = {
  name: 'sanctum_x_total',
  help: 'What is counted.',
  labels: ['route', 'status'],
} as const;
const BUCKETS = [0.1, 1, 10];

/** Lines of an exposition, in an order of their own. */
async function exposed(registry: Registry): Promise<string[]> {
  const text = await registry.metrics();
  return text.split('\n').map((line) => {
    const [, name = line, labels, value = ''] = /^(\w+)\{(.*)\} (.*)$/.exec(line) ?? [];
    return labels === undefined ? name : `${name}{${labels.split(',').sort().join(',')}} ${value}`;
  });
}

describe('Counter', () => {
  it('reads as one of prom-client does', async () => {
    const [ours, theirs] = [new Registry(), new Registry()];
    const counter = new Counter(NAMED, ours);
    const prom = new PromCounter({
      ...{ name: NAMED.name, help: NAMED.help, labelNames: NAMED.labels, registers: [theirs] },
    });
    const steps = [
      [{ route: 'chat', status: '2xx' }, 1],
      [{ route: 'chat', status: '5xx' }, 2.5],
      [{ route: 'other', status: '2xx' }, 0],
      [{ route: 'a"b\\c\nd', status: '2xx' }, 1],
      [{ route: 'chat', status: '2xx' }, 3],
    ] as const;
    for (const [labels, step] of steps) {
      counter.inc(labels, step);
      prom.inc(labels, step);
    }
    expect(await exposed(ours)).toEqual(await exposed(theirs));
  });

  it('stands at 0 before its first step, when it has no labels', async () => {
    const [ours, theirs] = [new Registry(), new Registry()];
    const counter = new Counter({ ...NAMED, labels: [] }, ours);
    const prom = new PromCounter({ name: NAMED.name, help: NAMED.help, registers: [theirs] });
    expect(await exposed(ours)).toEqual(await exposed(theirs));
    counter.inc({});
    prom.inc();
    expect(await exposed(ours)).toEqual(await exposed(theirs));
  });

  it.each([-1, NaN, Infinity])('refuses to grow by %d', (step) => {
    const counter = new Counter({ ...NAMED, labels: [] }, new Registry());
    expect(() => counter.inc({}, step)).toThrow(RangeError);
  });
});

describe('Histogram', () => {
  it.each([[[] as const], [['backend'] as const]])(
    'reads as one of prom-client does, with labels %j',
    async (labels: readonly 'backend'[]) => {
      const [ours, theirs] = [new Registry(), new Registry()];
      const named = { name: 'sanctum_x_seconds', help: 'How long.' };
      const histogram = new Histogram({ ...named, labels, buckets: BUCKETS }, ours);
      const prom = new PromHistogram({
        ...{ ...named, labelNames: labels, buckets: BUCKETS, registers: [theirs] },
      });
      for (const value of [0, 0.1, 0.11, 1, 5, 10, 10.5, 1e9]) {
        histogram.observe({ backend: 'b' }, value);
        if (labels.length === 0) prom.observe(value);
        else prom.observe({ backend: 'b' }, value);
      }
      expect(await exposed(ours)).toEqual(await exposed(theirs));
    },
  );

  it.each([NaN, Infinity])('refuses %d', (value) => {
    const options = { name: 'x', help: 'x', labels: [], buckets: BUCKETS };
    expect(() => new Histogram(options, new Registry()).observe({}, value)).toThrow(RangeError);
  });
});

it('is registered once under its name', () => {
  const registry = new Registry();
  new Counter(NAMED, registry);
  expect(() => new Counter(NAMED, registry)).toThrow(/already been registered/);
});
