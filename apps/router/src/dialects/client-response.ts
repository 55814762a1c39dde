/** The part of `ServerResponse` an exchange answers through. */
export interface ClientResponse {
  readonly headersSent: boolean;
  readonly writableFinished: boolean;
  readonly statusCode: number;
  /** Headers as a flat list of names and values. */
  writeHead(status: number, headers: string[]): unknown;
  /** False when the client reads too slowly; then `drain` follows. */
  write(chunk: Buffer | string): boolean;
  end(chunk?: Buffer | string): unknown;
  end(bytes: string, encoding: 'latin1'): unknown;
  destroy(): unknown;
  on(event: 'close', listener: () => void): unknown;
  once(event: 'drain', listener: () => void): unknown;
}
