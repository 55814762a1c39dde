import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { startOrder } from './start-order.js';

describe('startOrder', () => {
  it('puts requirements first', () => {
    expect(
      startOrder([
        { name: 'router', requires: ['engine', 'nats'] },
        { name: 'engine', requires: ['nats'] },
        { name: 'nats', requires: [] },
      ]),
    ).toEqual(['nats', 'engine', 'router']);
  });

  it('names the circle', () => {
    expect(() =>
      startOrder([
        { name: 'a', requires: ['b'] },
        { name: 'b', requires: ['a'] },
      ]),
    ).toThrow('a → b → a');
  });

  it('names who requires what is missing', () => {
    expect(() => startOrder([{ name: 'a', requires: ['b'] }])).toThrow('Service a requires b');
  });

  it('holds for every acyclic graph', () => {
    const graph = fc.array(fc.array(fc.nat(30), { maxLength: 5 }), { maxLength: 30 }).map((edges) =>
      edges.map((targets, index) => ({
        name: `s${index}`,
        requires: targets.filter((target) => target < index).map((target) => `s${target}`),
      })),
    );
    fc.assert(
      fc.property(graph, (services) => {
        const order = startOrder(services);
        expect([...order].sort()).toEqual(services.map(({ name }) => name).sort());
        for (const { name, requires } of services) {
          for (const requirement of requires) {
            expect(order.indexOf(requirement)).toBeLessThan(order.indexOf(name));
          }
        }
      }),
    );
  });
});
