import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  createHome,
  loadInstance,
  writeExampleInstance,
  writeFileAtomic,
  type HomePaths,
  type Instance,
} from '@sanctum/catalog';
import { IDENTITIES, isIdentity, renderNatsConfig, type NatsUser } from '@sanctum/contracts';
import {
  acceptedGenerations,
  identityUri,
  initPki,
  type Announce,
  type InitPkiReport,
} from '@sanctum/identity';
import type { NatsServer } from './nats-server.js';
import type { Site } from './site.js';

const DEFAULT_MODEL = 'padawan';
const DEFAULT_INSTANCE = 'home';

/** Reads instance.yaml, writing the commented example first where there is none. */
export function ensureInstance(
  site: Site,
  { withFallback = false }: { withFallback?: boolean } = {},
): { instance: Instance; created: boolean } {
  const { paths, root } = site;
  const created = !existsSync(paths.instanceFile);
  createHome(paths.home);
  if (created) {
    writeExampleInstance({
      home: paths.home,
      name: DEFAULT_INSTANCE,
      timezone: new Intl.DateTimeFormat().resolvedOptions().timeZone,
      model: join(root, 'deploy', 'models', DEFAULT_MODEL),
      modelName: DEFAULT_MODEL,
      withFallback,
      manifestPublicKeys: [join(root, 'deploy', 'trust', 'manifest-pubkey.ed25519')],
    });
  }
  return { instance: loadInstance(paths.instanceFile), created };
}

/** CA, server certificate for every bind address, one client certificate per identity. */
export async function ensureCertificates(
  paths: HomePaths,
  instance: Instance,
  announce?: Announce,
): Promise<InitPkiReport> {
  return initPki({
    home: paths,
    instance: instance.instance.name,
    addresses: bindAddresses(instance),
    identities: IDENTITIES,
    leafDays: instance.certificates.leaf_days,
    ...(announce && { announce }),
  });
}

/** Renders the configuration of nats-server from the declared subjects and the issued identities. */
export async function writeNatsConfig(
  paths: HomePaths,
  instance: Instance,
  server: NatsServer,
): Promise<void> {
  const { nats } = instance.services;
  if (nats === undefined) {
    return;
  }
  const text = renderNatsConfig({
    serverName: `sanctum-${instance.instance.name}`,
    listen: { host: nats.host, port: nats.port },
    monitor: { host: '127.0.0.1', port: nats.monitor_port },
    tls: { certFile: paths.server.cert, keyFile: paths.server.key, caFile: paths.ca.cert },
    users: await natsUsers(paths, instance.instance.name),
    storeDir: paths.jetstream,
    version: server.version,
    ...(nats.store_limit_mb !== undefined && { storeBytesMax: nats.store_limit_mb * 1_048_576 }),
  });
  writeFileAtomic(paths.natsConfig, text);
}

/** One user per certificate that is accepted: two generations of an identity during a rotation. */
async function natsUsers(paths: HomePaths, instance: string): Promise<readonly NatsUser[]> {
  const accepted = await acceptedGenerations(paths);
  return accepted.flatMap((identity) =>
    identity.instance === instance && isIdentity(identity.name)
      ? [{ identity: identity.name, uri: identityUri(identity) }]
      : [],
  );
}

/** Names and addresses that server certificates cover beside loopback. */
export function bindAddresses(instance: Instance): readonly string[] {
  const { nats, engine, router } = instance.services;
  const hosts = [
    ...(nats === undefined ? [] : [nats.host]),
    ...(engine?.listeners.tls.hosts ?? []),
    ...(router?.tls?.hosts ?? []),
  ];
  return [...new Set(hosts.filter((host) => host !== '0.0.0.0' && host !== '::'))];
}
