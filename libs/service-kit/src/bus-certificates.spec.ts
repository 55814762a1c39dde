import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { issueCertificate, renewCertificates, revokeCertificates } from '@sanctum/identity';
import {
  acceptedUsers,
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

const ROTATIONS = 10;
const EVENTS = 40;
let nats: NatsHome;
let home: TempHome;
let server: NatsServer;
let bus: Bus;
const lines: string[] = [];

beforeEach(async () => {
  lines.length = 0;
  nats = await startNatsHome();
  ({ home, server } = nats);
  bus = await Bus.start({
    service: 'engine',
    version: '0.1.0',
    instance: home.instance,
    url: server.url,
    tls: { ca: home.paths.ca.cert, ...home.paths.client('engine') },
    spoolFile: path.join(home.paths.spool, 'engine.jsonl'),
    logger: pino({ level: 'info' }, { write: (line: string) => void lines.push(line) }),
    state: new StateHolder(),
    metrics: new Metrics('sanctum_engine_'),
    heartbeatMs: 100,
    retryMaxMs: 200,
    certificatePollMs: 25,
  });
  await waitUntil(() => bus.connected, { what: 'the bus connects' });
}, NATS_HOME_TIMEOUT_MS);
afterEach(async () => {
  await bus.close();
  await nats.remove();
});

const rotate = () =>
  renewCertificates({
    home: home.paths,
    instance: home.instance,
    addresses: [],
    subjects: ['engine'],
    select: 'all',
    announce: async () => server.admit(await acceptedUsers(home)),
  });

async function loggedIn(): Promise<string[]> {
  const answer = await fetch(`${server.monitorUrl}/connz?auth=true`);
  const { connections } = (await answer.json()) as { connections: { authorized_user: string }[] };
  return connections.map((entry) => entry.authorized_user);
}

const engine = (generation: number): string => `spiffe://sanctum.test/svc/engine/g${generation}`;

describe('the connection to NATS', () => {
  it(`changes its certificate ${ROTATIONS} times and loses no event`, async () => {
    const sent: number[] = [];
    for (let rotation = 1; rotation <= ROTATIONS; rotation += 1) {
      await rotate();
      for (let nth = 0; nth < EVENTS; nth += 1) {
        sent.push(sent.length);
        bus.publishEvent('sanctum.incident.worker-restarted', {
          cause: 'exit',
          restarts: sent.length - 1,
          requestsLost: 0,
        });
      }
      await waitUntil(async () => (await loggedIn()).join() === engine(rotation + 1), {
        what: `generation ${rotation + 1} alone is logged in`,
      });
    }
    await waitUntil(() => bus.spooled === 0, { what: 'all is delivered' });
    expect(bus.dropped).toBe(0);
    const operator = await server.connectAs('sanctumctl');
    const manager = await jetstreamManager(operator);
    const stored: number[] = [];
    for (let seq = 1; seq <= sent.length; seq += 1) {
      const message = await manager.streams.getMessage('INCIDENTS', { seq });
      stored.push(message?.json<{ data: { restarts: number } }>().data.restarts ?? -1);
    }
    expect(stored).toEqual(sent);
    expect((await manager.streams.info('INCIDENTS')).state.messages).toBe(sent.length);
    await operator.close();
  });

  it('is dropped when its generation is revoked, and comes back with the next one', async () => {
    const other = await server.connectAs('canary');
    await revokeCertificates({ home: home.paths, target: 'engine' });
    await server.admit(await acceptedUsers(home));
    await waitUntil(() => !bus.connected, { what: 'NATS drops the connection', timeoutMs: 5000 });
    expect(await loggedIn()).toEqual(['spiffe://sanctum.test/svc/canary/g1']);
    expect(other.isClosed()).toBe(false);
    bus.publishEvent('sanctum.incident.worker-restarted', {
      cause: 'exit',
      restarts: 1,
      requestsLost: 0,
    });
    await issueCertificate({
      ...{ home: home.paths, instance: home.instance },
      ...{ kind: 'client', identity: 'engine' },
    });
    await server.admit(await acceptedUsers(home));
    await waitUntil(() => bus.connected && bus.spooled === 0, { what: 'the spool is delivered' });
    expect(await loggedIn()).toContain(engine(2));
    await other.close();
  });

  it('leaves a replaced generation out', async () => {
    await rotate();
    await waitUntil(async () => (await loggedIn()).join() === engine(2), { what: 'g2 logs in' });
    expect(
      (await acceptedUsers(home)).filter(({ identity }) => identity === 'engine'),
    ).toHaveLength(2);
    await revokeCertificates({ home: home.paths, target: 'engine', keepNewest: true });
    await server.admit(await acceptedUsers(home));
    expect((await acceptedUsers(home)).map(({ uri }) => uri)).toContain(engine(2));
    expect((await acceptedUsers(home)).map(({ uri }) => uri)).not.toContain(engine(1));
    await waitUntil(async () => (await loggedIn()).join() === engine(2), {
      what: 'generation 2 alone is logged in, under the list of today',
    });
    expect(bus.connected).toBe(true);
  });

  it('ends when the certificate of NATS is revoked, and comes back to one that is not', async () => {
    await revokeCertificates({ home: home.paths, target: 'server' });
    await waitUntil(() => !bus.connected, { what: 'the bus leaves' });
    await waitUntil(() => lines.some((line) => line.includes('certificate revoked')), {
      what: 'the log says why',
    });
    await issueCertificate({
      ...{ home: home.paths, instance: home.instance, kind: 'server' },
      addresses: ['127.0.0.1'],
    });
    await server.admit(await acceptedUsers(home));
    await waitUntil(() => bus.connected, { what: 'the bus connects again' });
  });
});
