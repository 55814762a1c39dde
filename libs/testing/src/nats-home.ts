import { IDENTITIES, isIdentity, type NatsUser } from '@sanctum/contracts';
import { acceptedGenerations, identityUri } from '@sanctum/identity';
import { NatsServer } from './nats-server.js';
import { createTempHome, type TempHome } from './temp-home.js';

/** What making certificates for everybody and starting a server may take on a busy machine. */
export const NATS_HOME_TIMEOUT_MS = 180_000;

/** A home with a certificate for every identity, and the NATS server that knows them all. */
export interface NatsHome {
  readonly home: TempHome;
  readonly server: NatsServer;
  remove(): Promise<void>;
}

export async function startNatsHome(): Promise<NatsHome> {
  const home = await createTempHome({ identities: IDENTITIES });
  try {
    const server = await NatsServer.start({ home, users: await acceptedUsers(home) });
    const remove = async (): Promise<void> => {
      await server.stop();
      await home.remove();
    };
    return { home, server, remove };
  } catch (error) {
    await home.remove();
    throw error;
  }
}

/** Who may log in by the ledger of a home, as sanctumctl renders it. */
export async function acceptedUsers({ paths }: TempHome): Promise<readonly NatsUser[]> {
  const accepted = await acceptedGenerations(paths);
  return accepted.flatMap((identity) =>
    isIdentity(identity.name) ? [{ identity: identity.name, uri: identityUri(identity) }] : [],
  );
}
