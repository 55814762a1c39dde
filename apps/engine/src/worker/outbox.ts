import type { WorkerMessage } from '../protocol.js';

/** Messages handed to the channel that the main process's side has not taken yet. */
export const UNSENT_MAX = 64;

/** Hands one message to the channel; `done` is called when it has left this process. */
export type Send = (message: WorkerMessage, done: (error: Error | null) => void) => void;

/**
 * The way to the main process. It takes every message, and says when it is full: computing more
 * steps then waits, so that a main process that does not read never makes the worker grow.
 */
export class Outbox {
  readonly #send: Send;
  readonly #onRoom: () => void;
  readonly #onBroken: (error: Error) => void;
  #unsent = 0;

  constructor(options: { send: Send; onRoom: () => void; onBroken: (error: Error) => void }) {
    this.#send = options.send;
    this.#onRoom = options.onRoom;
    this.#onBroken = options.onBroken;
  }

  get isFull(): boolean {
    return this.#unsent >= UNSENT_MAX;
  }

  post(message: WorkerMessage, onSent?: () => void): void {
    this.#unsent += 1;
    this.#send(message, (error) => {
      const wasFull = this.isFull;
      this.#unsent -= 1;
      if (error !== null) this.#onBroken(error);
      else onSent?.();
      if (wasFull) this.#onRoom();
    });
  }
}
