import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { messageOf, SanctumError } from '@sanctum/errors';
import { errnoOf } from './errno.js';

export interface KeyPairFiles {
  readonly cert: string;
  readonly key: string;
}

/** Where everything of one instance lives. All paths are absolute. */
export interface HomePaths {
  readonly home: string;
  readonly instanceFile: string;
  readonly certs: string;
  readonly ca: KeyPairFiles;
  readonly server: KeyPairFiles;
  readonly clients: string;
  /** Certificate and key of one identity, found by convention. */
  client(identity: string): KeyPairFiles;
  readonly secrets: string;
  readonly councilToken: string;
  /** Proves that `manifestTrustFile` is the present one. */
  readonly manifestTrustKey: string;
  readonly config: string;
  readonly natsConfig: string;
  readonly state: string;
  readonly portsFile: string;
  readonly supervisorFile: string;
  /** What manifests this machine has served. */
  readonly manifestTrustFile: string;
  /** One folder of hash-chained segments per service. */
  readonly audit: string;
  readonly jetstream: string;
  readonly spool: string;
  readonly logs: string;
  readonly models: string;
}

/** Layout of `$SANCTUM_HOME`; nothing is read or made. */
export function homePaths(home: string): HomePaths {
  const root = resolve(home);
  const certs = join(root, 'certs');
  const clients = join(certs, 'clients');
  const secrets = join(root, 'secrets');
  const config = join(root, 'config');
  const state = join(root, 'state');
  return {
    home: root,
    instanceFile: join(root, 'instance.yaml'),
    certs,
    ca: keyPair(certs, 'ca'),
    server: keyPair(certs, 'server'),
    clients,
    client: (identity) => keyPair(clients, identity),
    secrets,
    councilToken: join(secrets, 'council-mlx.token'),
    manifestTrustKey: join(secrets, 'manifest-trust.key'),
    config,
    natsConfig: join(config, 'nats.conf'),
    state,
    portsFile: join(state, 'ports.json'),
    supervisorFile: join(state, 'supervisor.json'),
    manifestTrustFile: join(state, 'manifest-trust.json'),
    audit: join(root, 'audit'),
    jetstream: join(state, 'nats', 'jetstream'),
    spool: join(root, 'spool'),
    logs: join(root, 'logs'),
    models: join(root, 'models'),
  };
}

/**
 * Makes the folders of a home, private to the owner; folders that exist lose group and world bits.
 *
 * @throws SanctumError `io` where there can be no such folders
 */
export function createHome(home: string): HomePaths {
  const paths = homePaths(home);
  const folders = [
    paths.home,
    paths.certs,
    paths.clients,
    paths.secrets,
    paths.config,
    paths.state,
    paths.audit,
    paths.jetstream,
    paths.spool,
    paths.logs,
    paths.models,
  ];
  try {
    for (const folder of folders) {
      makeFolder(folder);
      chmodSync(folder, 0o700);
    }
  } catch (error) {
    throw new SanctumError(
      'io',
      `The home ${paths.home} cannot be made (${messageOf(error)}). ` +
        'Name another with --home or SANCTUM_HOME.',
      { cause: error, param: paths.home },
    );
  }
  return paths;
}

/** By hand: where there can be none, below /proc for one, `recursive` of Node 20 asks for ever. */
function makeFolder(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const parent = dirname(folder);
  if (parent !== folder) makeFolder(parent);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // Another process may have been quicker.
    if (errnoOf(error) !== 'EEXIST' || !statSync(folder).isDirectory()) throw error;
  }
}

/** A path as written in instance.yaml: absolute, `~/…`, or relative to the file's folder. */
export function resolveFrom(base: string, path: string, userHome: string): string {
  if (path === '~' || path.startsWith('~/')) {
    return join(userHome, path.slice(1));
  }
  return isAbsolute(path) ? path : resolve(base, path);
}

function keyPair(folder: string, name: string): KeyPairFiles {
  return { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
}
