import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Admission } from './admission.js';

describe('Admission', () => {
  it('counts requests and bytes back to zero, and never beyond the limits', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('enter' as const), bytes: fc.nat(60) }),
      fc.record({ kind: fc.constant('leave' as const), bytes: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const admission = new Admission({ inFlightMax: 3, bufferedBytesMax: 100 });
        const held: number[] = [];
        for (const { kind, bytes } of steps) {
          if (kind === 'enter' && admission.refusal() === undefined) {
            admission.enter();
            held.push(admission.tryReserve(bytes) ? bytes : 0);
          } else if (kind === 'leave') {
            const reserved = held.pop();
            if (reserved !== undefined) admission.leave(reserved);
          }
          expect(admission.inFlight).toBe(held.length);
          expect(admission.inFlight).toBeLessThanOrEqual(3);
          expect(admission.bufferedBytes).toBe(held.reduce((sum, one) => sum + one, 0));
          expect(admission.bufferedBytes).toBeLessThanOrEqual(100);
        }
      }),
    );
  });

  it('drains when the last request leaves, and refuses meanwhile', async () => {
    const admission = new Admission({ inFlightMax: 3, bufferedBytesMax: 100 });
    admission.enter();
    admission.enter();
    let drained = false;
    const done = admission.drain().then(() => (drained = true));
    expect(admission.refusal()).toMatchObject({ code: 'draining', retryAfterS: 1 });
    admission.leave(0);
    await Promise.resolve();
    expect(drained).toBe(false);
    admission.leave(0);
    await done;
    expect(drained).toBe(true);
  });
});
