import type { ClientResponse } from './client-response.js';

/** An answer on its way through something that may hold its head back, or change it. */
export abstract class WrappedResponse {
  protected readonly inner: ClientResponse;
  /** 0 until there is a head. */
  protected status = 0;
  /** Of that head, as a flat list of names and values. */
  protected headers: string[] = [];

  constructor(inner: ClientResponse) {
    this.inner = inner;
  }

  get headersSent(): boolean {
    return this.status > 0;
  }

  get writableFinished(): boolean {
    return this.inner.writableFinished;
  }

  get statusCode(): number {
    return this.inner.headersSent ? this.inner.statusCode : this.status;
  }

  on(event: 'close', listener: () => void): void {
    this.inner.on(event, listener);
  }

  once(event: 'drain', listener: () => void): void {
    this.inner.once(event, listener);
  }
}
