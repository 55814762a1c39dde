import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isLoopback, isLoopbackHost, loopbackOf, withLoopback } from './loopback.js';

describe('isLoopback', () => {
  it('knows exactly 127.0.0.0/8 among IPv4, also mapped into IPv6', () => {
    fc.assert(
      fc.property(fc.ipV4(), (v4) => {
        const expected = v4.split('.')[0] === '127';
        expect(isLoopback(v4)).toBe(expected);
        expect(isLoopback(`::FFFF:${v4}`)).toBe(expected);
      }),
    );
  });

  it('takes no name for an address', () => {
    for (const name of [
      'localhost',
      '127.evil.com',
      '127.0.0.1.evil.com',
      '127.1',
      '',
      undefined,
    ]) {
      expect(isLoopback(name)).toBe(false);
    }
    expect(isLoopback('::1')).toBe(true);
  });
});

describe('isLoopbackHost', () => {
  it('takes the name of loopback too, and no other', () => {
    expect(['localhost', '::1', '127.3.2.1'].every(isLoopbackHost)).toBe(true);
    expect(['localhost.evil.com', '127.evil.com', '0.0.0.0', '::'].some(isLoopbackHost)).toBe(
      false,
    );
  });
});

describe('withLoopback', () => {
  it.each([
    [['192.168.1.5'], ['127.0.0.1', '192.168.1.5'], '127.0.0.1'],
    [['0.0.0.0'], ['0.0.0.0'], '127.0.0.1'],
    [['::'], ['::'], '127.0.0.1'],
    [['192.168.1.5', '::1'], ['192.168.1.5', '::1'], '::1'],
    [['127.0.0.2'], ['127.0.0.2'], '127.0.0.2'],
    [[], ['127.0.0.1'], '127.0.0.1'],
  ])('keeps a way in for this machine beside %j', (hosts, all, local) => {
    expect(withLoopback(hosts)).toEqual(all);
    expect(loopbackOf(hosts)).toBe(local);
  });
});
