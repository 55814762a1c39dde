import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { listSegments, readLines, verifyChains, type AuditLine } from '@sanctum/audit';
import { auditHeadSubject, type Identity, type ServiceName } from '@sanctum/contracts';
import {
  waitUntil,
  NATS_HOME_TIMEOUT_MS,
  startNatsHome,
  type NatsHome,
  type NatsServer,
  type TempHome,
} from '@sanctum/testing';
import { pino } from 'pino';
import { Bus } from './bus.js';
import { Metrics } from './metrics.js';
import { ServiceAudit } from './service-audit.js';
import { StateHolder } from './service-state.js';

const IDENTITY: Readonly<Record<ServiceName, Identity>> = {
  router: 'sanctum-server',
  engine: 'engine',
};
let nats: NatsHome;
let home: TempHome;
let server: NatsServer;
let audits: ServiceAudit[] = [];
let buses: Bus[] = [];
let said: string[] = [];

beforeAll(async () => {
  nats = await startNatsHome();
  ({ home, server } = nats);
}, NATS_HOME_TIMEOUT_MS);
afterAll(() => nats.remove());
beforeEach(() => {
  said = [];
});
afterEach(async () => {
  for (const audit of audits) await audit.close();
  for (const bus of buses) await bus.close();
  audits = [];
  buses = [];
  rmSync(home.paths.audit, { recursive: true, force: true });
});

const logger = pino({ level: 'warn' }, { write: (line: string) => void said.push(line) });

interface Started {
  readonly audit: ServiceAudit;
  readonly bus: Bus;
  readonly metrics: Metrics;
}

async function start(
  service: ServiceName,
  { instance = home.instance, anchorIntervalMs = 20 } = {},
): Promise<Started> {
  const { paths } = home;
  const audit = await ServiceAudit.open({
    ...{ home: paths, service, instance, logger },
    ...{ anchorIntervalMs, anchorPauseMs: 10 },
  });
  audits.push(audit);
  const metrics = new Metrics(`sanctum_${service}_`);
  const bus = await Bus.start({
    ...{ service, version: '0.1.0', instance, url: server.url, logger, metrics },
    tls: { ca: paths.ca.cert, ...paths.client(IDENTITY[service]) },
    spoolFile: join(paths.spool, `${service}.jsonl`),
    state: new StateHolder(),
  });
  buses.push(bus);
  audit.attach({ bus, metrics });
  await waitUntil(() => bus.connected, { what: `the ${service} connects` });
  return { audit, bus, metrics };
}

async function anchorsIn(service: ServiceName): Promise<AuditLine[]> {
  const found: AuditLine[] = [];
  for await (const line of readLines(join(home.paths.audit, service))) {
    if (line.event === 'audit_anchor') found.push(line);
  }
  return found;
}

async function untilAnchored(service: ServiceName): Promise<void> {
  await waitUntil(async () => (await anchorsIn(service)).length > 0, {
    what: `the ${service} writes an anchor`,
  });
}

describe('audit chains of two services', () => {
  it('hold each other: one that is rewritten is found by what the other saw', async () => {
    const router = await start('router');
    const engine = await start('engine');
    await router.audit.decide('config_taken', { backends: 1 });
    await engine.audit.decide('model_served', { version: 3 });
    await untilAnchored('router');
    await untilAnchored('engine');
    for (const audit of audits) await audit.close();
    const reports = await verifyChains(home.paths.audit);
    expect(reports.map(({ service, broken }) => [service, broken])).toEqual([
      ['engine', undefined],
      ['router', undefined],
    ]);
    for (const { anchors } of reports) expect(anchors.held).toBeGreaterThan(0);

    const [segment] = listSegments(join(home.paths.audit, 'engine'));
    const path = segment?.path ?? '';
    const forged = readFileSync(path, 'utf8').split('\n')[0]?.replace('"version":3', '"version":2');
    writeFileSync(path, `${forged}\n`);
    const [report] = await verifyChains(home.paths.audit, ['engine']);
    expect(report?.broken?.reason).toMatch(
      /though line \d+ of router saw|is another one than when/,
    );
  });

  it('hold each other as soon as the second one connects', async () => {
    const engine = await start('engine', { anchorIntervalMs: 3_600_000 });
    await engine.audit.decide('model_served', {});
    const router = await start('router', { anchorIntervalMs: 3_600_000 });
    await router.audit.decide('started', {});
    router.bus.tellHead();
    await untilAnchored('engine');
    await untilAnchored('router');
  });

  it('take no head of another instance, and none under a name that is not its own', async () => {
    const { audit } = await start('router');
    const stranger = await start('engine', { instance: 'elsewhere' });
    await stranger.audit.decide('model_served', {});
    const connection = await server.connectAs('engine');
    const head = { service: 'router', instance: home.instance, seq: 1, hash: '0'.repeat(64) };
    connection.publish(auditHeadSubject('engine'), JSON.stringify(head));
    connection.publish(auditHeadSubject('engine'), 'not json');
    connection.publish(auditHeadSubject('engine'), JSON.stringify({ ...head, service: 'engine' }));
    await connection.flush();
    await untilAnchored('router');
    await connection.close();
    await audit.close();
    expect((await anchorsIn('router')).map(({ data }) => data)).toEqual([
      { service: 'engine', seq: 1, hash: '0'.repeat(64) },
    ]);
  });

  it('say in log and metrics when they cannot be written', async () => {
    const { audit, metrics } = await start('engine');
    await audit.decide('model_served', {});
    const [segment] = listSegments(join(home.paths.audit, 'engine'));
    writeFileSync(segment?.path ?? '', 'somebody else\n', { flag: 'a' });
    await expect(audit.decide('model_served', {})).rejects.toThrow(/another process writes/);
    audit.note('request', {});
    expect(said.join('')).toContain('audit_stalled');
    expect(await metrics.registry.metrics()).toMatch(/sanctum_engine_audit_dropped_lines 1$/m);
  });

  it('remembers the last line of an event', async () => {
    const { audit } = await start('engine');
    expect(await audit.lastOf('model_served')).toBeUndefined();
    await audit.decide('model_served', { version: 1 });
    await audit.decide('model_served', { version: 2 });
    expect((await audit.lastOf('model_served'))?.data).toEqual({ version: 2 });
  });
});
