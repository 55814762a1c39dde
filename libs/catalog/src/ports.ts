import { readFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { z } from 'zod';
import { messageOf, SanctumError } from '@sanctum/errors';
import { writeFileAtomic } from './atomic-file.js';
import { errnoOf } from './errno.js';
import type { BackendSection, Instance } from './instance-schema.js';
import { PORT_NAMES, portsOf, type PortTable } from './port-table.js';

const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]', '0.0.0.0']);
const portsFileSchema = z.strictObject({
  version: z.literal(1),
  ports: z.partialRecord(z.enum(PORT_NAMES), z.int().min(1).max(65_535)),
});

/** Replaces ports, and moves backend URLs that point at a replaced port of this machine. */
export function applyPorts(instance: Instance, ports: PortTable): Instance {
  const { nats, engine, router, fallback } = instance.services;
  const move = mover(portsOf(instance), ports);
  return {
    ...instance,
    services: {
      ...(fallback && { fallback: withPort(fallback, ports.fallback) }),
      ...(nats && {
        nats: {
          ...nats,
          port: ports.nats ?? nats.port,
          monitor_port: ports['nats.monitor'] ?? nats.monitor_port,
        },
      }),
      ...(engine && {
        engine: {
          ...engine,
          listeners: {
            plain: withPort(engine.listeners.plain, ports['engine.plain']),
            tls: withPort(engine.listeners.tls, ports['engine.tls']),
          },
        },
      }),
      ...(router && {
        router: {
          ...withPort(router, ports.router),
          ...(router.tls && { tls: withPort(router.tls, ports['router.tls']) }),
          backends: Object.fromEntries(
            Object.entries(router.backends).map(([name, backend]) => [
              name,
              moveBackend(backend, move),
            ]),
          ),
        },
      }),
    },
  };
}

function withPort<T extends { port: number }>(listener: T, port: number | undefined): T {
  return port === undefined ? listener : { ...listener, port };
}

function mover(from: PortTable, to: PortTable): (url: string) => string {
  const moved = new Map<number, number>();
  for (const name of PORT_NAMES) {
    const [before, after] = [from[name], to[name]];
    if (before !== undefined && after !== undefined) {
      moved.set(before, after);
    }
  }
  return (text) => {
    const url = new URL(text);
    const port = moved.get(Number(url.port));
    if (!LOOPBACK.has(url.hostname) || port === undefined) {
      return text;
    }
    url.port = String(port);
    return url.href;
  };
}

function moveBackend(backend: BackendSection, move: (url: string) => string): BackendSection {
  return {
    ...backend,
    url: move(backend.url),
    fallback_urls: backend.fallback_urls.map((entry) =>
      typeof entry === 'string' ? move(entry) : { ...entry, url: move(entry.url) },
    ),
  };
}

/** The record of `up --ports auto`, or undefined when there is none. */
export function readPorts(file: string): PortTable | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') {
      return undefined;
    }
    throw new SanctumError('io', `${file} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  try {
    const { ports } = portsFileSchema.parse(JSON.parse(text));
    return ports;
  } catch (error) {
    throw new SanctumError(
      'config_invalid',
      `${file} is not a record of ports; remove it and run \`sanctumctl up --ports auto\` again.`,
      { cause: error, param: file },
    );
  }
}

export function writePorts(file: string, ports: PortTable): void {
  writeFileAtomic(file, `${JSON.stringify({ version: 1, ports }, null, 2)}\n`);
}

/**
 * One free port of the loopback interface per name, all different. On each a connection has just
 * ended (TIME_WAIT): for a minute or half of one the system gives the port to nobody who asks for
 * any, and to whoever asks for this one.
 */
export async function pickFreePorts<N extends string>(
  names: readonly N[],
): Promise<Record<N, number>> {
  const servers: Server[] = [];
  try {
    const entries: [N, number][] = [];
    for (const name of names) {
      // Who ends first is left waiting: it has to be this side, whatever a stranger does.
      const server = createServer((socket) => socket.on('error', () => undefined).destroySoon());
      servers.push(server);
      server.listen({ host: '127.0.0.1', port: 0 });
      await once(server, 'listening');
      const address = server.address();
      if (address === null || typeof address === 'string') {
        throw new SanctumError('io', 'The system gave no TCP address for a free port.');
      }
      await once(connect(address.port, '127.0.0.1').resume(), 'close');
      entries.push([name, address.port]);
    }
    return Object.fromEntries(entries) as Record<N, number>;
  } finally {
    await Promise.all(servers.map((server) => closed(server)));
  }
}

async function closed(server: Server): Promise<void> {
  if (server.listening) {
    server.close();
    await once(server, 'close');
  }
}
