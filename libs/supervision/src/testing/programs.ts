import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHome, pickFreePorts, type HomePaths } from '@sanctum/catalog';
import type { ServiceSpec } from '../service-manager.js';

/** A small real service: answers /health, dies or misbehaves as its arguments say. */
const PROGRAM = `
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
const [port, ...habits] = process.argv.slice(2);
const has = (habit) => habits.includes(habit);
if (has('refuse')) {
  console.error('refusing: bad weights');
  process.exit(3);
}
process.on('SIGTERM', () => has('stubborn') || process.exit(0));
if (has('chatty')) {
  let line = 0;
  setInterval(() => console.log('line ' + line++), 1);
}
if (has('forks')) spawn('sleep', ['300'], { stdio: 'ignore' });
console.log(JSON.stringify({ msg: 'hello', pid: process.pid }));
createServer((request, response) => {
  response.statusCode = has('unready') ? 503 : 200;
  response.end();
}).listen(Number(port), '127.0.0.1');
`;

export interface Workshop {
  readonly paths: HomePaths;
  readonly socket: string;
  service(name: string, options?: ServiceOptions): Promise<ServiceSpec>;
  remove(): void;
}

export interface ServiceOptions {
  readonly habits?: readonly string[];
  readonly requires?: readonly string[];
  readonly restartsMax?: number;
  readonly stopTimeoutMs?: number;
  readonly startupTimeoutMs?: number;
}

/** A throw-away home and a way to describe services that run the program above. */
export function openWorkshop(): Workshop {
  const root = mkdtempSync(join(tmpdir(), 'sanctum-supervision-'));
  const paths = createHome(join(root, 'home'));
  const program = join(root, 'service.mjs');
  writeFileSync(program, PROGRAM);
  return {
    paths,
    socket: join(paths.state, 'supervisor.sock'),
    service: async (name, options = {}) => {
      const { port } = await pickFreePorts(['port']);
      const url = `http://127.0.0.1:${port}`;
      return {
        name,
        command: [process.execPath, program, String(port), ...(options.habits ?? [])],
        cwd: root,
        env: { PATH: '/usr/bin:/bin' },
        requires: options.requires ?? [],
        readiness: { type: 'http', url: `${url}/health` },
        startupTimeoutMs: options.startupTimeoutMs ?? 20_000,
        stopTimeoutMs: options.stopTimeoutMs ?? 10_000,
        restart: {
          backoffMs: 10,
          backoffMaxMs: 100,
          restartsMax: options.restartsMax ?? 5,
          windowMs: 60_000,
        },
        url,
      };
    },
    remove: () => rmSync(root, { recursive: true }),
  };
}
