import { describe, expect, it } from '@jest/globals';
import type { WorkerMessage } from '../protocol.js';
import { Outbox, UNSENT_MAX } from './outbox.js';

const message: WorkerMessage = { type: 'drained' };

function build(): {
  outbox: Outbox;
  done: ((error: Error | null) => void)[];
  told: string[];
} {
  const done: ((error: Error | null) => void)[] = [];
  const told: string[] = [];
  const outbox = new Outbox({
    send: (_, callback) => done.push(callback),
    onRoom: () => told.push('room'),
    onBroken: ({ message: text }) => told.push(text),
  });
  return { outbox, done, told };
}

describe('Outbox', () => {
  it('is full at its limit, and says once when there is room again', () => {
    const { outbox, done, told } = build();
    for (let count = 1; count < UNSENT_MAX; count += 1) outbox.post(message);
    expect(outbox.isFull).toBe(false);
    outbox.post(message);
    expect(outbox.isFull).toBe(true);
    done[0]?.(null);
    done[1]?.(null);
    expect(outbox.isFull).toBe(false);
    expect(told).toEqual(['room']);
  });

  it('tells when a message has left, and when the channel is broken', () => {
    const { outbox, done, told } = build();
    outbox.post(message, () => told.push('sent'));
    outbox.post(message, () => told.push('never'));
    done[0]?.(null);
    done[1]?.(new Error('EPIPE'));
    expect(told).toEqual(['sent', 'EPIPE']);
  });
});
