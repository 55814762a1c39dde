import { dirname, join, resolve } from 'node:path';
import { loadInstance } from '@sanctum/catalog';
import { isSanctumError, messageOf } from '@sanctum/errors';
import { Command, InvalidArgumentError } from 'commander';
import { readEnvironment } from './env.js';
import { startRouter } from './start-router.js';
import { ROUTER_VERSION } from './version.js';

interface Flags {
  readonly routerConfig?: string;
  readonly host?: string;
  readonly port?: number;
}

async function run(flags: Flags): Promise<void> {
  const environment = readEnvironment();
  const file = resolve(flags.routerConfig ?? join(environment.home, 'instance.yaml'));
  await startRouter({
    instance: loadInstance(file),
    configFile: file,
    home: dirname(file),
    environment: environment.variables,
    ...(flags.host === undefined ? {} : { host: flags.host }),
    ...(flags.port === undefined ? {} : { port: flags.port }),
  });
}

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError('a port number from 0 to 65535.');
}

const program = new Command('sanctum-router')
  .description('OpenAI-compatible front door: routes each request to a backend, with failover.')
  .version(ROUTER_VERSION)
  .option('--router-config <file>', 'instance.yaml; by default the one in $SANCTUM_HOME')
  .option('--host <address>', 'address to listen on instead of services.router.host')
  .option('--port <port>', 'port to listen on instead of services.router.port', parsePort)
  .action(run);

try {
  await program.parseAsync();
} catch (error) {
  const code = isSanctumError(error) ? error.code : 'internal';
  process.stderr.write(`sanctum-router: ${code}: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
