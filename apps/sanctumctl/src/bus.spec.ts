import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { DELIVERIES_MAX, IDENTITIES, STREAMS, STREAM_NAMES } from '@sanctum/contracts';
import { createTempHome, NatsServer, waitUntil, type TempHome } from '@sanctum/testing';
import { readEnvironment } from './env.js';
import { locateSite } from './instance/site.js';
import { createProgram } from './program.js';
import { Terminal } from './terminal/terminal.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
const SUBJECT = 'sanctum.incident.failover';
let home: TempHome;
let server: NatsServer;
let output: string[] = [];

beforeAll(async () => {
  home = await createTempHome({ identities: IDENTITIES });
  server = await NatsServer.start({ home });
  const nats = { port: Number(new URL(server.url).port) };
  const file = { instance: { name: 'test' }, services: { nats } };
  writeFileSync(home.paths.instanceFile, JSON.stringify(file));
  const router = await server.connectAs('sanctum-server');
  const { streams } = await jetstreamManager(router, { checkAPI: false });
  for (const name of STREAM_NAMES) {
    const { subjects, messagesMax, bytesMax } = STREAMS[name];
    await streams.add({
      name,
      subjects: [...subjects],
      max_msgs: messagesMax,
      max_bytes: bytesMax,
    });
  }
  await router.close();
}, 180_000);
afterAll(async () => {
  await server.stop();
  await home.remove();
});
beforeEach(() => {
  output = [];
});

async function run(...args: readonly string[]): Promise<string> {
  output = [];
  const site = () =>
    locateSite({ ...readEnvironment(), checkout: ROOT, home: home.paths.home }, undefined);
  const program = createProgram({
    terminal: new Terminal({ write: (text: string) => output.push(text) }),
    site,
    fail: () => undefined,
  });
  await program.parseAsync(args, { from: 'user' });
  return output.join('');
}

/** A consumer that never says it is done with a message. */
async function neglect(): Promise<void> {
  const operator = await server.connectAs('sanctumctl');
  const { consumers } = await jetstreamManager(operator, { checkAPI: false });
  await consumers.add('INCIDENTS', {
    durable_name: 'neglectful',
    ack_policy: AckPolicy.Explicit,
    max_deliver: DELIVERIES_MAX,
  });
  const consumer = await jetstream(operator).consumers.get('INCIDENTS', 'neglectful');
  for (let delivery = 0; delivery <= DELIVERIES_MAX; delivery += 1) {
    const message = await consumer.next({ expires: 1000 });
    message?.nak();
  }
  await operator.close();
}

it('shows streams with their limits, and dead letters that are said again', async () => {
  expect(await run('bus', 'streams')).toMatch(/INCIDENTS +0 +100000 +0 +67108864 +0/);
  expect(await run('bus', 'dlq')).toBe('No dead letters.\n');
  const router = await server.connectAs('sanctum-server');
  await jetstream(router).publish(SUBJECT, '{"n":1}', { msgID: 'first' });
  await router.close();
  await neglect();
  const letters = await waitUntil(
    async () => {
      const found = JSON.parse(await run('bus', 'dlq', '--json')) as { number: number }[];
      return found.length > 0 && found;
    },
    { what: 'the server says that a message was given up' },
  );
  expect(letters).toEqual([
    expect.objectContaining({
      stream: 'INCIDENTS',
      consumer: 'neglectful',
      deliveries: DELIVERIES_MAX,
      reason: 'max_deliveries',
      message: { subject: SUBJECT, payload: '{"n":1}' },
    }),
  ]);
  const number = String(letters[0]?.number);
  expect(await run('bus', 'dlq')).toMatch(
    new RegExp(`${number} +\\S+ +${SUBJECT} +neglectful +5 +max_deliveries`),
  );
  await expect(run('bus', 'replay', '999')).rejects.toThrow(/no dead letter 999/);
  expect(await run('bus', 'replay', number)).toContain(`replayed  ${number}  ${SUBJECT}`);
  expect(await run('bus', 'dlq')).toBe('No dead letters.\n');
  expect(await run('bus', 'streams')).toMatch(/INCIDENTS +2 /);
  expect(await run('bus', 'replay', '--all')).toBe('No dead letters.\n');
}, 60_000);

it('says that NATS does not answer', async () => {
  const { url } = server;
  await server.kill();
  await expect(run('bus', 'streams')).rejects.toThrow(`NATS at ${url} does not answer`);
  await server.restart();
});
