import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { FairQueue } from './fair-queue.js';

interface Item {
  readonly client: string;
  readonly at: number;
}

describe('FairQueue', () => {
  it('takes clients in turns and keeps the order within a client', () => {
    const queue = new FairQueue<Item>();
    for (const [at, client] of ['a', 'a', 'a', 'b', 'c', 'b'].entries()) queue.push({ client, at });
    const order: number[] = [];
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) order.push(item.at);
    expect(order).toEqual([0, 3, 4, 1, 5, 2]);
    expect(queue.size).toBe(0);
    expect(queue.peek()).toBeUndefined();
  });

  it('starves nobody: an item waits at most (place in its own line) rounds of all clients', () => {
    const clients = ['a', 'b', 'c', 'd'];
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(...clients), fc.constant('shift'), fc.constant('drop'))),
        (commands) => {
          const queue = new FairQueue<Item>();
          const waiting = new Map<Item, { shiftsLeft: number }>();
          for (const [at, command] of commands.entries()) {
            if (command === 'shift') {
              const next = queue.peek();
              expect(queue.shift()).toBe(next);
              if (next !== undefined) waiting.delete(next);
              for (const wait of waiting.values())
                expect((wait.shiftsLeft -= 1)).toBeGreaterThan(-1);
            } else if (command === 'drop') {
              const [item] = [...waiting.keys()].slice(-1);
              if (item !== undefined) {
                expect(queue.remove(item)).toBe(true);
                expect(queue.remove(item)).toBe(false);
                waiting.delete(item);
              }
            } else {
              const item = { client: command, at };
              const ahead = [...waiting.keys()].filter(({ client }) => client === command).length;
              queue.push(item);
              waiting.set(item, { shiftsLeft: (ahead + 1) * clients.length - 1 });
            }
            expect(queue.size).toBe(waiting.size);
          }
        },
      ),
    );
  });
});
