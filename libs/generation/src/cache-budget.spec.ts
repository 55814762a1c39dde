import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CacheBudget, RESERVATION_TOKENS } from './cache-budget.js';

const COST = { bytesPerSequence: 100, bytesPerToken: 2 };
const BLOCK = RESERVATION_TOKENS * COST.bytesPerToken;

describe('CacheBudget', () => {
  it('reserves whole blocks and the fixed part once', () => {
    const budget = new CacheBudget(COST, 100 + 2 * BLOCK);
    const holder = {};
    expect(budget.tryReserve(holder, 1)).toBe(true);
    expect(budget.reservedBytes).toBe(100 + BLOCK);
    expect(budget.tryReserve(holder, RESERVATION_TOKENS)).toBe(true);
    expect(budget.reservedBytes).toBe(100 + BLOCK);
    expect(budget.tryReserve(holder, RESERVATION_TOKENS + 1)).toBe(true);
    expect(budget.tryReserve(holder, 2 * RESERVATION_TOKENS + 1)).toBe(false);
    expect(budget.reservedBytes).toBe(100 + 2 * BLOCK);
    budget.release(holder);
    expect(budget.reservedBytes).toBe(0);
  });

  it('knows what one request alone may hold', () => {
    expect(new CacheBudget(COST, 100 + 3 * BLOCK - 1).tokensMax).toBe(2 * RESERVATION_TOKENS);
    expect(new CacheBudget(COST, 99).tokensMax).toBe(0);
    const free = { bytesPerSequence: 0, bytesPerToken: 0 };
    expect(new CacheBudget(free, 1).tokensMax).toBe(Number.POSITIVE_INFINITY);
  });

  it('never goes over, and comes back to nothing', () => {
    const holders = [{}, {}, {}];
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(2), fc.nat(2000), fc.boolean())),
        fc.nat(10_000),
        (commands, bytesMax) => {
          const budget = new CacheBudget(COST, bytesMax);
          for (const [at, tokens, isRelease] of commands) {
            const holder = holders[at] ?? {};
            if (isRelease) budget.release(holder);
            else budget.tryReserve(holder, tokens);
            expect(budget.reservedBytes).toBeLessThanOrEqual(bytesMax);
          }
          for (const holder of holders) budget.release(holder);
          expect(budget.reservedBytes).toBe(0);
        },
      ),
    );
  });
});
