import { connect, type NatsConnection } from '@nats-io/transport-node';
import { loadInstance } from '@sanctum/catalog';
import { inboxPrefix } from '@sanctum/contracts';
import { messageOf, SanctumError } from '@sanctum/errors';
import { clientTlsOptions, readTlsFiles } from '@sanctum/identity';
import type { Site } from '../instance/site.js';

const TIMEOUT_MS = 5_000;

/**
 * Runs with a connection to the instance's NATS under the operator's own identity. Throws
 * `certificate_invalid`, or `io` when NATS does not answer.
 */
export async function withNats<T>(
  { paths }: Site,
  work: (connection: NatsConnection) => Promise<T>,
): Promise<T> {
  const { nats } = loadInstance(paths.instanceFile).services;
  if (nats?.enabled !== true) {
    throw new SanctumError('config_invalid', 'services.nats is not enabled in instance.yaml.');
  }
  const files = { ca: paths.ca.cert, ...paths.client('sanctumctl') };
  const tls = clientTlsOptions(await readTlsFiles(files, 'client'));
  const url = `tls://${nats.host.includes(':') ? `[${nats.host}]` : nats.host}:${nats.port}`;
  const connection = await connect({
    servers: url,
    name: 'sanctumctl',
    tls,
    inboxPrefix: inboxPrefix('sanctumctl'),
    timeout: TIMEOUT_MS,
    reconnect: false,
  }).catch((error: unknown) => {
    throw new SanctumError(
      'io',
      `NATS at ${url} does not answer: ${messageOf(error)}. Does it run? See \`sanctumctl status\`.`,
      { cause: error, param: url },
    );
  });
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}
