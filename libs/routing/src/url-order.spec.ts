import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { orderUrls, type UrlStanding } from './url-order.js';

const standing = fc.constantFrom<UrlStanding>('usable', 'cooling', 'last_resort', 'open');

describe('orderUrls', () => {
  it.each<[UrlStanding[], number[]]>([
    [
      ['usable', 'usable'],
      [0, 1],
    ],
    [['open', 'usable'], [1]],
    [
      ['cooling', 'usable', 'usable'],
      [1, 2, 0],
    ],
    [['last_resort', 'cooling'], [1]],
    [
      ['last_resort', 'open', 'last_resort'],
      [0, 2],
    ],
    [['open', 'open'], []],
  ])('%j → %j', (standings, order) => {
    expect(orderUrls(standings)).toEqual(order);
  });

  it('agrees with sorting by rank, keeps declared order, and never names an open URL', () => {
    fc.assert(
      fc.property(fc.array(standing, { maxLength: 8 }), (standings) => {
        const rank = { usable: 0, cooling: 1, last_resort: 2, open: 3 };
        const sorted = standings
          .map((one, index) => ({ rank: rank[one], index }))
          .sort((a, b) => a.rank - b.rank || a.index - b.index);
        const hasBetter = sorted.some((one) => one.rank < 2);
        const expected = sorted.filter((one) => one.rank < (hasBetter ? 2 : 3));
        expect(orderUrls(standings)).toEqual(expected.map(({ index }) => index));
      }),
    );
  });
});
