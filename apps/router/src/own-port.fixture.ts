import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below what systems choose from for port 0: nobody is given one of these while it is free. */
const FIRST_PORT = 12_000;
const PORTS = 20_000;
/** Processes that run side by side begin apart. */
let next = (process.pid * 16) % PORTS;

/**
 * A port for a server that a test stops, and maybe starts again: another one that the system had
 * chosen could be given away meanwhile.
 */
export async function ownPort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + (next++ % PORTS);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
