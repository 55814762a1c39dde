import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Answers under way on each connection that ever brought a request; mostly none or one. */
const underWay = new WeakMap<Socket, ServerResponse[]>();

/** Called for every request: no closure and no object is made for it. */
export function remember(response: ServerResponse): void {
  const { socket } = response.req;
  const open = underWay.get(socket);
  if (open === undefined) underWay.set(socket, [response]);
  else open.push(response);
  response.on('close', forget);
}

function forget(this: ServerResponse): void {
  const open = underWay.get(this.req.socket);
  open?.splice(open.indexOf(this), 1);
}

/** Whether a connection ever brought a request. */
export function hasBegun(socket: Socket): boolean {
  return underWay.has(socket);
}

export function isBusy(socket: Socket): boolean {
  return (underWay.get(socket)?.length ?? 0) > 0;
}

/**
 * Whether the next bytes on a connection would be read as the answer to what its parser refused:
 * true between requests, and for a request that is still being sent and has not been answered.
 */
export function mayReply(socket: Socket): boolean {
  const open = underWay.get(socket) ?? [];
  return open.every(({ req, headersSent }) => !req.complete && !headersSent);
}
