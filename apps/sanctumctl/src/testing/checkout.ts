import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { natsServerPath, RunningProgram } from '@sanctum/testing';

const REPOSITORY = fileURLToPath(new URL('../../../..', import.meta.url));
const HASH_WORKER = join(REPOSITORY, 'libs', 'manifest', 'src', 'hash-worker.mjs');

/**
 * Stands where the engine's bundle would: mTLS, /health/ready; what `refuse` holds it says and dies.
 * While there is a `hold` it serves nothing.
 */
const ENGINE = `
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
process.on('SIGTERM', () => process.exit(0));
const home = process.env.SANCTUM_HOME;
const refusal = join(home, 'refuse');
if (existsSync(refusal)) {
  console.log(readFileSync(refusal, 'utf8'));
  process.exit(1);
}
const certs = join(home, 'certs');
const { ports } = JSON.parse(readFileSync(join(home, 'state/ports.json'), 'utf8'));
const server = createServer(
  {
    ca: readFileSync(join(certs, 'ca.crt')),
    cert: readFileSync(join(certs, 'server.crt')),
    key: readFileSync(join(certs, 'server.key')),
    requestCert: true,
    rejectUnauthorized: true,
  },
  (request, response) => response.writeHead(request.url === '/health/ready' ? 200 : 404).end(),
);
if (existsSync(join(home, 'hold'))) setInterval(() => undefined, 1_000);
else server.listen(ports['engine.tls'], '127.0.0.1', () => console.log('engine listens'));
`;

/** Stands where the router's bundle would: adds the numbers of the question it is asked. */
const ROUTER = `
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
const { ports } = JSON.parse(
  readFileSync(join(process.env.SANCTUM_HOME, 'state/ports.json'), 'utf8'),
);
createServer(async (request, response) => {
  if (request.url?.startsWith('/health') === true) return response.end();
  const { messages } = await json(request);
  const numbers = messages.at(-1).content.match(/\\d+/g).map(Number);
  const say = (delta, finish_reason = null) =>
    response.write('data: ' + JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] }) + '\\n\\n');
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  say({ role: 'assistant' });
  say({ content: String(numbers.reduce((sum, value) => sum + value)) });
  say({}, 'stop');
  response.end('data: [DONE]\\n\\n');
}).listen(ports.router, '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
`;

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A checkout with a freshly bundled sanctumctl, the real model, and small services. */
export class Checkout {
  readonly home: string;

  private constructor(
    readonly root: string,
    private readonly environment: Readonly<Record<string, string>>,
  ) {
    this.home = join(root, '.sanctum');
  }

  static async make(): Promise<Checkout> {
    const root = mkdtempSync(join(tmpdir(), 'sanctumctl-'));
    const bundle = join(root, 'apps/sanctumctl/dist/bundle');
    await build({
      entryPoints: [fileURLToPath(new URL('../main.ts', import.meta.url))],
      outfile: join(bundle, 'main.mjs'),
      bundle: true,
      platform: 'node',
      format: 'esm',
      conditions: ['@sanctum/source'],
      banner: {
        js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
      },
    });
    cpSync(HASH_WORKER, join(bundle, 'hash-worker.mjs'));
    writeService(root, 'engine', ENGINE);
    writeService(root, 'router', ROUTER);
    symlinkSync(join(REPOSITORY, 'deploy'), join(root, 'deploy'));
    return new Checkout(root, {
      PATH: process.execPath.slice(0, process.execPath.lastIndexOf('/')) + ':/usr/bin:/bin',
      HOME: root,
      CI: 'true',
      SANCTUM_CHECKOUT: root,
      SANCTUM_NATS_SERVER: await natsServerPath(),
    });
  }

  /** Runs `sanctumctl` to its end. */
  run(...args: readonly string[]): Promise<CommandResult> {
    return new Promise((resolve) => {
      const options = { cwd: this.root, env: this.environment, timeout: 60_000 };
      execFile(process.execPath, [this.#main, ...args], options, (error, stdout, stderr) => {
        const code = error === null ? 0 : Number(error.code ?? -1);
        resolve({ code, stdout, stderr });
      });
    });
  }

  /** Starts `sanctumctl` and leaves it running. */
  start(...args: readonly string[]): Promise<RunningProgram> {
    return RunningProgram.start({
      file: process.execPath,
      args: [this.#main, ...args],
      cwd: this.root,
      env: this.environment,
    });
  }

  /** Lets the engine say a line and exit with 1 from now on; undefined lets it run again. */
  refuse(line: string | undefined): void {
    const file = join(this.home, 'refuse');
    if (line === undefined) {
      rmSync(file, { force: true });
    } else {
      writeFileSync(file, line);
    }
  }

  /** Keeps engines that start from becoming ready, until `release`. */
  hold(): void {
    writeFileSync(this.#holdFile, '');
  }

  /** Engines that start from now on serve. */
  release(): void {
    rmSync(this.#holdFile, { force: true });
  }

  async remove(): Promise<void> {
    if (existsSync(join(this.home, 'instance.yaml'))) {
      await this.run('down');
    }
    rmSync(this.root, { recursive: true, force: true });
  }

  get #holdFile(): string {
    return join(this.home, 'hold');
  }

  get #main(): string {
    return join(this.root, 'apps/sanctumctl/dist/bundle/main.mjs');
  }
}

function writeService(root: string, app: string, source: string): void {
  const file = join(root, 'apps', app, 'dist/bundle/main.mjs');
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, source);
}
