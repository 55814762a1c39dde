import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { Svcm } from '@nats-io/services';
import {
  eventEnvelopeSchema,
  heartbeatSchema,
  parseWith,
  SERVICE_ANSWERS_PREFIX,
  STREAMS,
  type Heartbeat,
  type Identity,
  type WorkerRestarted,
} from '@sanctum/contracts';
import {
  NATS_HOME_TIMEOUT_MS,
  startNatsHome,
  waitUntil,
  type NatsHome,
  type NatsServer,
  type TempHome,
} from '@sanctum/testing';
import { pino } from 'pino';
import { Bus } from './bus.js';
import { Metrics } from './metrics.js';
import { StateHolder } from './service-state.js';

const ANSWER_WAIT_MS = 20_000;
const logger = pino({ level: 'silent' });
const restarted = (restarts: number): WorkerRestarted => ({
  cause: 'signal',
  signal: 'SIGKILL',
  restarts,
  requestsLost: 0,
});
let nats: NatsHome;
let home: TempHome;
let server: NatsServer;
let bus: Bus;
let state: StateHolder;

beforeAll(async () => {
  nats = await startNatsHome();
  ({ home, server } = nats);
}, NATS_HOME_TIMEOUT_MS);
afterAll(() => nats.remove());
beforeEach(async () => {
  state = new StateHolder();
  bus = await startBus('engine');
  await waitUntil(() => bus.connected, { what: 'the bus connects' });
});
afterEach(async () => {
  await bus.close();
});

function startBus(service: 'engine' | 'router', spoolBytesMax?: number): Promise<Bus> {
  const identity: Identity = service === 'engine' ? 'engine' : 'sanctum-server';
  return Bus.start({
    service,
    version: '0.1.0',
    instance: home.instance,
    url: server.url,
    tls: { ca: home.paths.ca.cert, ...home.paths.client(identity) },
    spoolFile: path.join(home.paths.spool, `${service}.jsonl`),
    logger,
    state,
    metrics: new Metrics(`sanctum_${service}_`),
    heartbeatMs: 100,
    retryMaxMs: 200,
    ...(spoolBytesMax === undefined ? {} : { spoolBytesMax }),
  });
}

/** What `restarts` says of every event stored, in the order of the stream. */
async function storedRestarts(): Promise<number[]> {
  const connection = await server.connectAs('sanctumctl');
  const manager = await jetstreamManager(connection);
  const { state: stored } = await manager.streams.info('INCIDENTS');
  const found: number[] = [];
  // An empty stream begins at 0, which is no message.
  for (let seq = Math.max(1, stored.first_seq); seq <= stored.last_seq; seq += 1) {
    const message = await manager.streams.getMessage('INCIDENTS', { seq });
    const { data, ...envelope } = message?.json<{ data: WorkerRestarted }>() ?? {};
    parseWith(eventEnvelopeSchema, envelope);
    if (data !== undefined) found.push(data.restarts);
  }
  await connection.close();
  return found;
}

describe('the bus', () => {
  it('makes its stream with the limits declared', async () => {
    const connection = await server.connectAs('sanctumctl');
    const { config } = await (await jetstreamManager(connection)).streams.info('INCIDENTS');
    expect(config).toMatchObject({
      subjects: [...STREAMS.INCIDENTS.subjects],
      max_bytes: STREAMS.INCIDENTS.bytesMax,
      max_msgs: STREAMS.INCIDENTS.messagesMax,
      max_msg_size: STREAMS.INCIDENTS.messageBytesMax,
      storage: 'file',
    });
    await connection.close();
  });

  it('sends heartbeats that count up and tell the state', async () => {
    const connection = await server.connectAs('guardian');
    const heartbeats = connection.subscribe('sanctum.heartbeat.*');
    await connection.flush();
    state.set('ready');
    const seen: Heartbeat[] = [];
    for await (const message of heartbeats) {
      expect(message.subject).toBe('sanctum.heartbeat.engine');
      const beat = parseWith(heartbeatSchema, message.json());
      seen.push(beat);
      // One that was sent before the state changed may come first.
      if (seen.length >= 3 && beat.state === 'ready') break;
    }
    const [first] = seen;
    expect(seen.map(({ sequence }) => sequence - (first?.sequence ?? 0))).toEqual([...seen.keys()]);
    expect(seen.at(-1)).toMatchObject({ state: 'ready', pid: process.pid, instance: 'test' });
    await connection.close();
  });

  it('answers PING, INFO and STATS', async () => {
    const connection = await server.connectAs('sanctumctl', SERVICE_ANSWERS_PREFIX);
    const client = new Svcm(connection).client({
      strategy: 'count',
      maxWait: ANSWER_WAIT_MS,
      maxMessages: 1,
    });
    for (const question of ['ping', 'info', 'stats'] as const) {
      const names: string[] = [];
      for await (const answer of await client[question]('engine')) {
        names.push(`${answer.name} ${answer.version} ${answer.metadata?.['instance']}`);
        break;
      }
      expect(names).toEqual(['engine 0.1.0 test']);
    }
    await connection.close();
  });

  it('stores an event once it is acknowledged, and empties its spool', async () => {
    const before = (await storedRestarts()).length;
    bus.publishEvent('sanctum.incident.worker-restarted', restarted(1));
    expect(bus.spooled).toBe(1);
    expect(await bus.flush(10_000)).toBe(true);
    expect((await storedRestarts()).slice(before)).toEqual([1]);
    expect(await readFile(path.join(home.paths.spool, 'engine.jsonl'), 'utf8')).toBe('');
  });

  it('refuses a payload that its subject does not declare, and the subjects of others', () => {
    const wrong = { ...restarted(1), prompt: 'text' };
    expect(() => bus.publishEvent('sanctum.incident.worker-restarted', wrong)).toThrow(/"prompt"/);
    const failover = {
      backend: 'b',
      url: 'http://127.0.0.1:1/v1',
      winningUrl: 'http://127.0.0.1:2/v1',
      errorClass: 'connect',
      requestId: 'r',
      attempts: 2,
    };
    expect(() => bus.publishEvent('sanctum.incident.failover', failover)).toThrow(/of engine/);
    expect(bus.spooled).toBe(0);
  });

  it('gives an event up that the server refuses for good, and goes on', async () => {
    await bus.close();
    const before = (await storedRestarts()).length;
    const subject = 'sanctum.incident.worker-restarted';
    const payload = 'x'.repeat(STREAMS.INCIDENTS.messageBytesMax + 1);
    const line = JSON.stringify({ id: randomUUID(), subject, payload });
    await writeFile(path.join(home.paths.spool, 'engine.jsonl'), `${line}\n`);
    bus = await startBus('engine');
    bus.publishEvent(subject, restarted(2));
    await waitUntil(() => bus.connected && bus.spooled === 0, { what: 'the spool is empty' });
    expect((await storedRestarts()).slice(before)).toEqual([2]);
  });
});

describe('with the server killed', () => {
  it('comes back by itself and replays the spool exactly once, in order', async () => {
    const before = (await storedRestarts()).length;
    await server.kill();
    await waitUntil(() => !bus.connected, { what: 'the bus notices' });
    // Publishing waits for nothing: all are spooled before anything else has a turn.
    for (let count = 10; count < 20; count += 1) {
      bus.publishEvent('sanctum.incident.worker-restarted', restarted(count));
    }
    expect(bus.spooled).toBe(10);
    await server.restart();
    await waitUntil(() => bus.connected && bus.spooled === 0, { what: 'the spool is replayed' });
    const expected = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19];
    expect((await storedRestarts()).slice(before)).toEqual(expected);
  });

  it('starts without it, keeps events over a restart of the service, delivers none twice', async () => {
    const spoolFile = path.join(home.paths.spool, 'engine.jsonl');
    const before = (await storedRestarts()).length;
    await server.kill();
    await bus.close();
    bus = await startBus('engine');
    bus.publishEvent('sanctum.incident.worker-restarted', restarted(30));
    expect(await bus.flush(5000)).toBe(false);
    await bus.close();
    const spooled = await readFile(spoolFile, 'utf8');
    expect(spooled).toContain('worker-restarted');
    await server.restart();
    bus = await startBus('engine');
    await waitUntil(() => bus.connected && bus.spooled === 0, { what: 'the spool is replayed' });
    await bus.close();
    // As after a crash between the acknowledgement and the spool: the same ids once more.
    await writeFile(spoolFile, spooled);
    bus = await startBus('engine');
    expect(bus.spooled).toBe(1);
    await waitUntil(() => bus.connected && bus.spooled === 0, { what: 'the spool is replayed' });
    expect((await storedRestarts()).slice(before)).toEqual([30]);
  });

  it('keeps the newest when it stays away for too long', async () => {
    await server.kill();
    await bus.close();
    bus = await startBus('engine', 2000);
    for (let count = 0; count < 50; count += 1) {
      bus.publishEvent('sanctum.incident.worker-restarted', restarted(count));
    }
    expect(bus.dropped).toBeGreaterThan(0);
    expect(bus.spooled + bus.dropped).toBe(50);
    await server.restart();
    await waitUntil(() => bus.connected && bus.spooled === 0, { what: 'the spool is replayed' });
    expect((await storedRestarts()).at(-1)).toBe(49);
  });
});

describe('permissions, as the server enforces them', () => {
  it.each<[Identity, string]>([
    ['engine', 'sanctum.heartbeat.router'],
    ['engine', 'sanctum.incident.failover'],
    ['sanctum-server', 'sanctum.incident.worker-restarted'],
    ['canary', 'sanctum.heartbeat.engine'],
    ['engine', '$JS.API.STREAM.DELETE.INCIDENTS'],
    ['engine', '$SRV.PING'],
    ['guardian', '_INBOX.engine.x'],
  ])('%s may not publish %s', async (identity, subject) => {
    const connection = await server.connectAs(identity);
    const errors = connection.status()[Symbol.asyncIterator]();
    connection.publish(subject, '{}');
    const refusal: unknown = (await errors.next()).value;
    expect(refusal).toMatchObject({ type: 'error', error: { operation: 'publish', subject } });
    await connection.close();
  });

  it.each<[Identity, string]>([
    ['engine', '>'],
    ['engine', 'sanctum.heartbeat.*'],
    ['engine', '_INBOX.sanctumctl.>'],
    ['engine', '$SRV.PING.router'],
    ['canary', 'sanctum.incident.failover'],
    ['sanctumctl', '>'],
  ])('%s may not subscribe to %s', async (identity, subject) => {
    const connection = await server.connectAs(identity);
    const errors = connection.status()[Symbol.asyncIterator]();
    const refused = new Promise<Error | null>((resolve) => {
      connection.subscribe(subject, { callback: (error) => resolve(error) });
    });
    expect(await refused).toMatchObject({ operation: 'subscription', subject });
    const status: unknown = (await errors.next()).value;
    expect(status).toMatchObject({ type: 'error' });
    await connection.close();
  });
});
