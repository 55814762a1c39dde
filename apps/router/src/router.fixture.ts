import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadInstance } from '@sanctum/catalog';
import type { Failover } from '@sanctum/contracts';
import { createLogger } from '@sanctum/service-kit';
import type { RouterLimits } from './limits.js';
import { startRouter } from './start-router.js';

export interface TestRouterOptions {
  /** `services.router` without host and port. */
  readonly router: object;
  readonly limits?: Partial<RouterLimits>;
  readonly environment?: Record<string, string>;
  /** Instead of a temporary one. */
  readonly home?: string;
}

export interface TestRequestInit {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

export interface TestRouter {
  readonly url: string;
  readonly port: number;
  /** Of the mTLS listener; 0 when there is none. */
  readonly mtlsPort: number;
  readonly logs: readonly Record<string, unknown>[];
  readonly failovers: readonly Failover[];
  readonly post: (body: unknown, init?: TestRequestInit) => Promise<Response>;
  readonly get: (path: string, init?: TestRequestInit) => Promise<Response>;
  readonly configFile: string;
  /** Writes instance.yaml anew: `services.router` without host and port, or raw text. */
  readonly rewrite: (router: object | string) => void;
  /** Lines of the log with this message. */
  readonly logged: (message: string) => Record<string, unknown>[];
  /** One sample of `/metrics`, by name and labels as printed. */
  readonly metric: (sample: string) => Promise<number>;
  readonly stop: () => Promise<void>;
}

const hoursToNoon = 12 - new Date().getUTCHours();
/**
 * A time zone where it is about noon: no daily budget begins anew while a test runs. These names
 * have POSIX's signs: minus lies east.
 */
export const NOON_ZONE = `Etc/GMT${hoursToNoon > 0 ? '-' : '+'}${Math.abs(hoursToNoon)}`;

/** A router in this process on a port of its own, with its log and failovers kept. */
export async function startTestRouter(options: TestRouterOptions): Promise<TestRouter> {
  const home = options.home ?? mkdtempSync(join(tmpdir(), 'sanctum-router-'));
  const logs: Record<string, unknown>[] = [];
  const failovers: Failover[] = [];
  const removeHome = (): void => {
    if (options.home === undefined) rmSync(home, { recursive: true, force: true });
  };
  const write = (line: string): void => {
    logs.push(JSON.parse(line) as Record<string, unknown>);
  };
  const file = join(home, 'instance.yaml');
  const rewrite = (router: object | string): void => {
    writeFileSync(file, typeof router === 'string' ? router : textOf(router));
  };
  try {
    rewrite(options.router);
    const service = await startRouter({
      instance: loadInstance(file),
      configFile: file,
      home,
      environment: options.environment ?? {},
      logger: createLogger({ service: 'router', level: 'debug', stream: { write } }),
      onFailover: (event) => failovers.push(event),
      ownsProcess: false,
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    });
    const [address] = service.addresses;
    if (address === undefined) throw new Error('The router listens nowhere.');
    const { url, port } = address;
    const get = (path: string, init?: TestRequestInit) => fetch(url + path, init);
    return {
      url,
      port,
      mtlsPort: service.addresses.find(({ name }) => name === 'mtls')?.port ?? 0,
      logs,
      failovers,
      configFile: file,
      rewrite,
      get,
      post: (body, init) => postJson(`${url}/v1/chat/completions`, body, init),
      logged: (message) => logs.filter(({ msg }) => msg === message),
      metric: async (sample) => readSample(await (await get('/metrics')).text(), sample),
      stop: () => service.stop().finally(removeHome),
    };
  } catch (error) {
    removeHome();
    throw error;
  }
}

/** JSON is YAML, so the fixture goes through the same reader as the operator's file. */
function textOf(router: object): string {
  return JSON.stringify({
    instance: { name: 'test', timezone: NOON_ZONE },
    services: { router: { ...router, port: 0 } },
  });
}

function postJson(url: string, body: unknown, init: TestRequestInit = {}): Promise<Response> {
  const headers = { 'content-type': 'application/json', ...init.headers };
  const isRaw = typeof body === 'string' || body instanceof Uint8Array;
  return fetch(url, {
    ...init,
    method: 'POST',
    headers,
    body: isRaw ? body : JSON.stringify(body),
  });
}

function readSample(text: string, sample: string): number {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${sample} `));
  return line === undefined ? 0 : Number(line.slice(sample.length + 1));
}
