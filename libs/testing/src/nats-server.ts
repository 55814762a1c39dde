import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import {
  IDENTITIES,
  inboxPrefix,
  parseNatsVersion,
  renderNatsConfig,
  type Identity,
  type NatsUser,
} from '@sanctum/contracts';
import { clientTlsOptions, identityUri, readTlsFiles } from '@sanctum/identity';
import { RunningProgram } from './running-program.js';
import type { TempHome } from './temp-home.js';
import { waitUntil } from './wait-until.js';

export interface NatsServerOptions {
  /** Its PKI, store and configuration live there. */
  readonly home: TempHome;
  /** All identities in generation 1 by default. */
  readonly users?: readonly NatsUser[];
  /** The one the machine has, or is given by the provisioning script, by default. */
  readonly binary?: string;
}

interface Ports {
  readonly nats: readonly string[];
  readonly monitoring?: readonly string[];
}

const PROVISION = fileURLToPath(
  new URL('../../../tools/provision/nats-server.mjs', import.meta.url),
);
const run = promisify(execFile);
let provided: Promise<string> | undefined;

/** Path of a nats-server; built or fetched the first time a machine runs this. */
export function natsServerPath(): Promise<string> {
  provided ??= run(process.execPath, [PROVISION, '--yes']).then(({ stdout }) => stdout.trim());
  return provided;
}

/** A real nats-server with mTLS and the permissions of `@sanctum/contracts`, on a free port. */
export class NatsServer {
  readonly #options: NatsServerOptions;
  readonly #binary: string;
  readonly #version: string;
  #program: RunningProgram | undefined;
  #port = -1;
  #monitorUrl = '';
  #users: readonly NatsUser[] | undefined;

  private constructor(options: NatsServerOptions, binary: string, version: string) {
    this.#options = options;
    this.#binary = binary;
    this.#version = version;
    this.#users = options.users;
  }

  static async start(options: NatsServerOptions): Promise<NatsServer> {
    const binary = options.binary ?? (await natsServerPath());
    const { stdout } = await run(binary, ['--version']);
    const server = new NatsServer(options, binary, stdout);
    await server.restart();
    return server;
  }

  get url(): string {
    return `tls://127.0.0.1:${this.#port}`;
  }

  get monitorUrl(): string {
    return this.#monitorUrl;
  }

  get version(): string {
    return this.#version.trim();
  }

  get lines(): readonly string[] {
    return this.#program?.lines ?? [];
  }

  /** SIGKILL: nothing is said to clients, nothing is flushed. */
  async kill(): Promise<void> {
    await this.#program?.kill();
  }

  /** Up again after `kill` or `stop`: the same port, the same store. */
  async restart(): Promise<void> {
    const { paths } = this.#options.home;
    const portsFolder = path.join(paths.state, 'nats-ports');
    await rm(portsFolder, { recursive: true, force: true });
    await mkdir(portsFolder, { recursive: true });
    await writeFile(paths.natsConfig, this.#render(portsFolder));
    this.#program = await RunningProgram.start({
      file: this.#binary,
      args: ['--config', paths.natsConfig],
    });
    const program = this.#program;
    await program.line((line) => line.includes('Server is ready'));
    const file = path.join(portsFolder, `nats-server_${program.pid}.ports`);
    const ports = await waitUntil(() => readPorts(file), { what: `nats-server writes ${file}` });
    this.#port = Number(new URL(ports.nats[0] ?? '').port);
    this.#monitorUrl = ports.monitoring?.[0] ?? '';
  }

  /** Writes the configuration for these users and has the running server read it. */
  async admit(users: readonly NatsUser[]): Promise<void> {
    const { paths } = this.#options.home;
    this.#users = users;
    await writeFile(paths.natsConfig, this.#render(path.join(paths.state, 'nats-ports')));
    const program = this.#program;
    if (program === undefined) throw new Error('nats-server does not run');
    const reloads = (): number =>
      program.lines.filter((line) => line.includes('Reloaded server configuration')).length;
    const before = reloads();
    process.kill(program.pid, 'SIGHUP');
    await waitUntil(() => reloads() > before, { what: 'nats-server reads its configuration' });
  }

  async stop(): Promise<void> {
    await this.#program?.stop();
  }

  /** A connection with the certificate of an identity, as its service would make it. */
  async connectAs(
    identity: Identity,
    inbox: string = inboxPrefix(identity),
  ): Promise<NatsConnection> {
    const { home } = this.#options;
    const { cert, key } = home.paths.client(identity);
    const material = await readTlsFiles({ ca: home.paths.ca.cert, cert, key }, 'client');
    const tls = clientTlsOptions(material);
    return connect({
      servers: this.url,
      name: `test-${identity}`,
      tls: { ca: tls.ca, cert: tls.cert, key: tls.key },
      inboxPrefix: inbox,
      reconnect: false,
      timeout: 5000,
    });
  }

  #render(portsFileDir: string): string {
    const { home } = this.#options;
    const users = this.#users;
    const { paths, instance } = home;
    const everybody = IDENTITIES.map((identity) => ({
      identity,
      uri: identityUri({ instance, name: identity, generation: 1 }),
    }));
    return renderNatsConfig({
      serverName: `sanctum-${instance}`,
      listen: { host: '127.0.0.1', port: this.#port },
      monitor: { host: '127.0.0.1', port: -1 },
      tls: { caFile: paths.ca.cert, certFile: paths.server.cert, keyFile: paths.server.key },
      users: users ?? everybody,
      storeDir: paths.jetstream,
      version: parseNatsVersion(this.#version),
      portsFileDir,
    });
  }
}

async function readPorts(file: string): Promise<Ports | undefined> {
  try {
    const ports = JSON.parse(await readFile(file, 'utf8')) as Ports;
    return ports.nats.length > 0 ? ports : undefined;
  } catch {
    return undefined;
  }
}
