import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { PermissionViolationError, type Msg, type NatsConnection } from '@nats-io/transport-node';
import {
  auditHeadSubject,
  IDENTITIES,
  inboxPrefix,
  permissionsFor,
  SERVICE_ANSWERS_PREFIX,
  SERVICE_API_VERBS,
  SERVICE_NAMES,
  SERVICES,
  STREAM_NAMES,
  subjectDefinitions,
} from '@sanctum/contracts';
import { NATS_HOME_TIMEOUT_MS, startNatsHome, type NatsHome } from '@sanctum/testing';

/** Whole subjects a rogue client would try: every declared one, and the server's own. */
const SUBJECTS = [
  ...subjectDefinitions().flatMap(({ subject }) =>
    SERVICE_NAMES.map((service) => subject.replace('{service}', service)),
  ),
  'sanctum.undeclared',
  ...SERVICE_API_VERBS.flatMap((verb) => [`$SRV.${verb}`, `$SRV.${verb}.engine`]),
  ...['CREATE', 'UPDATE', 'INFO', 'DELETE', 'PURGE'].flatMap((verb) =>
    STREAM_NAMES.map((name) => `$JS.API.STREAM.${verb}.${name}`),
  ),
  '$JS.API.STREAM.CREATE.OTHER',
  '$SYS.REQ.SERVER.PING',
  ...IDENTITIES.map((identity) => `${inboxPrefix(identity)}.reply`),
  `${SERVICE_ANSWERS_PREFIX}.reply`,
].filter((subject, at, all) => all.indexOf(subject) === at);

let nats: NatsHome;
beforeAll(async () => {
  nats = await startNatsHome();
}, NATS_HOME_TIMEOUT_MS);
afterAll(() => nats.remove());

function isAllowed(subject: string, patterns: readonly string[]): boolean {
  const tokens = subject.split('.');
  return patterns.some((pattern) => {
    const parts = pattern.split('.');
    if (parts.at(-1) === '>') {
      const head = parts.slice(0, -1);
      return tokens.length > head.length && head.every((part, at) => matches(part, tokens[at]));
    }
    return parts.length === tokens.length && parts.every((part, at) => matches(part, tokens[at]));
  });
}

function matches(part: string, token: string | undefined): boolean {
  return part === '*' || part === token;
}

/** Subjects the server refused to this connection, by operation, until it is closed. */
async function refusals(connection: NatsConnection): Promise<Record<string, string[]>> {
  const refused: Record<string, string[]> = { publish: [], subscription: [] };
  for await (const status of connection.status()) {
    if (status.type !== 'error' || !(status.error instanceof PermissionViolationError)) continue;
    refused[status.error.operation]?.push(status.error.subject);
  }
  return refused;
}

it.each(IDENTITIES)('%s may do what is declared, and nothing else', async (identity) => {
  const connection = await nats.server.connectAs(identity);
  const refused = refusals(connection);
  for (const subject of SUBJECTS) {
    connection.publish(subject, '{}');
    connection.subscribe(subject, { callback: () => undefined });
  }
  // The server answers in order: every refusal comes before the answer to the ping.
  await connection.flush();
  await connection.close();
  const { publish, subscribe } = permissionsFor(identity);
  const { publish: unpublished = [], subscription: unsubscribed = [] } = await refused;
  const denied = (patterns: readonly string[]): string[] =>
    SUBJECTS.filter((subject) => !isAllowed(subject, patterns)).sort();
  expect(unpublished.sort()).toEqual(denied(publish));
  expect(unsubscribed.sort()).toEqual(denied(subscribe));
});

it.each(SERVICE_NAMES)('%s may not publish more by asking itself, or when asked', async (name) => {
  const identity = SERVICES[name];
  const own = auditHeadSubject(name);
  const asker = await nats.server.connectAs('sanctumctl');
  const connection = await nats.server.connectAs(identity);
  const refused = refusals(connection);
  const denied = SUBJECTS.filter(
    (subject) => !isAllowed(subject, permissionsFor(identity).publish),
  ).sort();
  // A received message that names where its answer goes is what `allow_responses` would act on.
  const answered = new Promise<void>((resolve) => {
    let left = 2 * denied.length;
    const answer = (_error: unknown, message: Msg): void => {
      connection.publish(message.reply ?? '', '');
      left -= 1;
      if (left === 0) resolve();
    };
    connection.subscribe(own, { callback: answer });
    connection.subscribe(`$SRV.PING.${name}`, { callback: answer });
  });
  await connection.flush();
  for (const reply of denied) {
    connection.publish(own, '{}', { reply });
    asker.publish(`$SRV.PING.${name}`, '', { reply });
  }
  await answered;
  await connection.flush();
  await Promise.all([connection.close(), asker.close()]);
  const { publish = [] } = await refused;
  expect(publish.sort()).toEqual([...denied, ...denied].sort());
});
