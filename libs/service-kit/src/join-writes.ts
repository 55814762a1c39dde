import type { Socket } from 'node:net';

/** More is left to the kernel as a list: copying it would cost what the list does. */
export const JOINED_BYTES_MAX = 8 * 1024;

interface Piece {
  readonly chunk: string | Buffer;
  readonly encoding: BufferEncoding;
}

/**
 * From now on a short head and its body leave the socket as one: to Node they are a list, which
 * costs half as much again as one string. Longer lists are pieces of a stream and stay lists:
 * joined they cost more.
 */
export function joinWrites(socket: Socket): void {
  const writeList = socket._writev?.bind(socket);
  if (writeList === undefined) return;
  socket._writev = (pieces: Piece[], done) => {
    const text = pieces.length > 2 ? undefined : joined(pieces);
    if (text === undefined) writeList(pieces, done);
    else socket._write(text, 'latin1', done);
  };
}

/** The bytes of the pieces, one a character; undefined when they are too many, or no bytes yet. */
function joined(pieces: readonly Piece[]): string | undefined {
  let text = '';
  for (const { chunk, encoding } of pieces) {
    if (text.length + chunk.length > JOINED_BYTES_MAX) return undefined;
    if (typeof chunk !== 'string') text += chunk.toString('latin1');
    else if (encoding === 'latin1') text += chunk;
    else return undefined;
  }
  return text;
}
