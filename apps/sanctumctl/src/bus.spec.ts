import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { DELIVERIES_MAX, STREAMS, STREAM_NAMES } from '@sanctum/contracts';
import {
  NATS_HOME_TIMEOUT_MS,
  startNatsHome,
  waitUntil,
  type NatsHome,
  type NatsServer,
} from '@sanctum/testing';
import { Operator } from './testing/operator.js';

const SUBJECT = 'sanctum.incident.failover';
/** Heartbeats come every half of it: a shorter one takes a busy machine for a dead server. */
const PULL = { expires: 60_000 };
let nats: NatsHome;
let server: NatsServer;
let operator: Operator;

beforeAll(async () => {
  nats = await startNatsHome();
  ({ server } = nats);
  const { paths } = nats.home;
  operator = new Operator(paths.home);
  const port = Number(new URL(server.url).port);
  const file = { instance: { name: 'test' }, services: { nats: { port } } };
  writeFileSync(paths.instanceFile, JSON.stringify(file));
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
}, NATS_HOME_TIMEOUT_MS);
afterAll(() => nats.remove());

const run = (...args: readonly string[]): Promise<string> => operator.run(...args);

interface DeadLetter {
  readonly number: number;
}

/** A consumer that never says it is done with a message; what the server then says of it. */
async function neglect(): Promise<readonly DeadLetter[]> {
  const operator = await server.connectAs('sanctumctl');
  const { consumers } = await jetstreamManager(operator, { checkAPI: false });
  await consumers.add('INCIDENTS', {
    durable_name: 'neglectful',
    ack_policy: AckPolicy.Explicit,
    max_deliver: DELIVERIES_MAX,
  });
  const consumer = await jetstream(operator).consumers.get('INCIDENTS', 'neglectful');
  for (let delivery = 1; delivery <= DELIVERIES_MAX; delivery += 1) {
    const message = await consumer.next(PULL);
    expect(message?.info.deliveryCount).toBe(delivery);
    message?.nak();
  }
  // It is given up when it is asked for once more, which nothing answers.
  const unanswered = consumer.next(PULL);
  const letters = await waitUntil(
    async () => {
      const found = JSON.parse(await run('bus', 'dlq', '--json')) as DeadLetter[];
      return found.length > 0 && found;
    },
    { what: 'the server says that a message was given up' },
  );
  await operator.close();
  await unanswered.catch(() => null);
  return letters;
}

it('shows streams with their limits, and dead letters that are said again', async () => {
  expect(await run('bus', 'streams')).toMatch(/INCIDENTS +0 +100000 +0 +67108864 +0/);
  expect(await run('bus', 'dlq')).toBe('No dead letters.\n');
  const router = await server.connectAs('sanctum-server');
  await jetstream(router).publish(SUBJECT, '{"n":1}', { msgID: 'first' });
  await router.close();
  const letters = await neglect();
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
});

it('says that NATS does not answer', async () => {
  const { url } = server;
  // For good: its port may be another's by now.
  await server.kill();
  await expect(run('bus', 'streams')).rejects.toThrow(`NATS at ${url} does not answer`);
});
