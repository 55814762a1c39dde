import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { connect } from '@nats-io/transport-node';
import { IDENTITIES, inboxPrefix, isIdentity, type NatsUser } from '@sanctum/contracts';
import { acceptedGenerations, identityUri } from '@sanctum/identity';
import { BAD_CERTIFICATES, badCertificate } from './bad-certificates.js';
import { NatsServer } from './nats-server.js';
import { createTempHome, type TempHome } from './temp-home.js';

let home: TempHome;
let server: NatsServer;

beforeAll(async () => {
  home = await createTempHome({ identities: IDENTITIES });
  server = await NatsServer.start({ home, users: await users() });
}, 180_000);
afterAll(async () => {
  await server.stop();
  await home.remove();
});

async function users(): Promise<NatsUser[]> {
  const accepted = await acceptedGenerations(home.paths);
  return accepted.flatMap((identity) =>
    isIdentity(identity.name) ? [{ identity: identity.name, uri: identityUri(identity) }] : [],
  );
}

/** Resolves when the server has let the certificate in and answered a ping. */
async function logIn(pair: { cert: string; key: string }): Promise<void> {
  const ca = await readFile(home.paths.ca.cert, 'utf8');
  const connection = await connect({
    servers: server.url,
    tls: { ca, ...pair },
    inboxPrefix: inboxPrefix('canary'),
    reconnect: false,
    timeout: 5000,
  });
  await connection.flush();
  await connection.close();
}

it.each(BAD_CERTIFICATES)('NATS refuses a certificate %s', async (fault) => {
  const { paths, instance } = home;
  const bad = await badCertificate(fault, { home: paths, instance, identity: 'canary' });
  // As sanctumctl does after a revocation; for any other fault nothing changes.
  await server.admit(await users());
  await expect(logIn(bad)).rejects.toThrow();
  const { cert, key } = paths.client('canary');
  await logIn({ cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') });
});
