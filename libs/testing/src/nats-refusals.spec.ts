import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { connect } from '@nats-io/transport-node';
import { inboxPrefix } from '@sanctum/contracts';
import { BAD_CERTIFICATES, badCertificate } from './bad-certificates.js';
import { acceptedUsers, NATS_HOME_TIMEOUT_MS, startNatsHome, type NatsHome } from './nats-home.js';

let nats: NatsHome;
beforeAll(async () => {
  nats = await startNatsHome();
}, NATS_HOME_TIMEOUT_MS);
afterAll(() => nats.remove());

/** Resolves when the server has let the certificate in and answered a ping. */
async function logIn(pair: { cert: string; key: string }): Promise<void> {
  const ca = await readFile(nats.home.paths.ca.cert, 'utf8');
  const connection = await connect({
    servers: nats.server.url,
    tls: { ca, ...pair },
    inboxPrefix: inboxPrefix('canary'),
    reconnect: false,
    timeout: 5000,
  });
  await connection.flush();
  await connection.close();
}

it.each(BAD_CERTIFICATES)('NATS refuses a certificate %s', async (fault) => {
  const { home, server } = nats;
  const { paths, instance } = home;
  const bad = await badCertificate(fault, { home: paths, instance, identity: 'canary' });
  // As sanctumctl does after a revocation; for any other fault nothing changes.
  await server.admit(await acceptedUsers(home));
  await expect(logIn(bad)).rejects.toThrow();
  const { cert, key } = paths.client('canary');
  await logIn({ cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') });
});
