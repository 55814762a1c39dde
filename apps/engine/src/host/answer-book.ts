import { SanctumError } from '@sanctum/errors';
import type { Delta } from '@sanctum/generation';
import { fromWireError, type WorkerMessage } from '../protocol.js';

/** What becomes of a submitted request. Exactly one end: a delta with `finish`, or the other two. */
export type AnswerEvent =
  | { readonly type: 'accepted'; readonly promptTokens: number }
  | { readonly type: 'delta'; readonly delta: Delta }
  | { readonly type: 'failed'; readonly error: SanctumError }
  | { readonly type: 'cancelled' };

export type AnswerSink = (event: AnswerEvent) => void;

/** The requests a worker owes an answer. */
export class AnswerBook {
  readonly #sinks = new Map<string, AnswerSink>();

  get size(): number {
    return this.#sinks.size;
  }

  open(id: string, sink: AnswerSink): void {
    this.#sinks.set(id, sink);
  }

  has(id: string): boolean {
    return this.#sinks.has(id);
  }

  /** Passes a worker's message on to whom it concerns. */
  take(message: WorkerMessage): void {
    switch (message.type) {
      case 'accepted':
        this.#tell(message.id, { type: 'accepted', promptTokens: message.promptTokens });
        break;
      case 'step':
        for (const delta of message.deltas) this.#takeDelta(delta);
        break;
      case 'failed':
        this.#end(message.id, { type: 'failed', error: fromWireError(message.error) });
        break;
      case 'cancelled':
        this.#end(message.id, { type: 'cancelled' });
        break;
      case 'progress':
      case 'loaded':
      case 'probed':
      case 'drained':
      case 'fatal':
        break;
    }
  }

  /** Ends every open answer, when nobody is left to continue them. Returns how many there were. */
  failAll(error: SanctumError): number {
    const ids = [...this.#sinks.keys()];
    for (const id of ids) this.#end(id, { type: 'failed', error });
    return ids.length;
  }

  #takeDelta(delta: Delta): void {
    const event = { type: 'delta', delta } as const;
    if (delta.finish === undefined) this.#tell(delta.id, event);
    else this.#end(delta.id, event);
  }

  #tell(id: string, event: AnswerEvent): void {
    this.#sinks.get(id)?.(event);
  }

  #end(id: string, event: AnswerEvent): void {
    const sink = this.#sinks.get(id);
    this.#sinks.delete(id);
    sink?.(event);
  }
}
