/** Turns an answer's tokens into text as they come; a character cut between tokens waits. */
export class StreamDecoder {
  readonly #bytesOf: (token: number) => Uint8Array;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(bytesOf: (token: number) => Uint8Array) {
    this.#bytesOf = bytesOf;
  }

  /** The text that this token completes: whole characters, U+FFFD for bytes that never will be. */
  push(token: number): string {
    return this.#decoder.decode(this.#bytesOf(token), { stream: true });
  }

  /** What is left at the end: U+FFFD for a character that never came to its end. */
  flush(): string {
    return this.#decoder.decode();
  }
}
