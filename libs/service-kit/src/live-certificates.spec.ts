import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { readdir, readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Module } from '@nestjs/common';
import {
  clientTlsOptions,
  dropOldAuthority,
  issueCertificate,
  LiveTls,
  readTlsFiles,
  readTransportRecord,
  renewCertificates,
  revokeCertificates,
  signWithNextAuthority,
  trustNextAuthority,
  untilTakenOver,
} from '@sanctum/identity';
import { createTempHome, waitUntil, type TempHome } from '@sanctum/testing';
import { pino } from 'pino';
import { bootstrapService, type RunningService } from './bootstrap.js';
import { EXPIRED_GRACE_MS } from './tls-listener.js';

@Module({})
class EmptyModule {}

const ROTATIONS = 10;
const CLIENTS = 8;
/** Enough for handshakes on a busy machine, far below Node's own two minutes. */
const HANDSHAKE_MS = 3_000;
let home: TempHome;
let live: LiveTls;
let service: RunningService;
let agents: Agent[] = [];
let running = false;
const stop = () => (running = false);

beforeEach(async () => {
  home = await createTempHome({ identities: ['sanctum-server', 'canary', 'engine'] });
  const { ca, server } = home.paths;
  live = await LiveTls.open({ paths: { ca: ca.cert, ...server }, usage: 'server', pollMs: 50 });
  service = await bootstrapService({
    name: 'engine',
    version: '0.1.0',
    module: EmptyModule,
    listeners: [{ name: 'mtls', host: '127.0.0.1', port: 0, tls: live }],
    logger: pino({ level: 'silent' }),
    ownsProcess: false,
    http: { headersTimeoutMs: HANDSHAKE_MS },
    transportFile: join(home.paths.state, 'transport', 'engine.json'),
    certificate: { home: home.paths },
    intercept: (next) => (incoming, response) => {
      if (incoming.url === '/open') response.writeHead(200).write('begun');
      else next(incoming, response);
    },
  });
});
afterEach(async () => {
  stop();
  for (const agent of agents) agent.destroy();
  agents = [];
  await service.stop();
  live.close();
  await home.remove();
});

/** Keep-alive connections with the certificate of an identity as it lies on disk now. */
async function agentOf(identity: 'sanctum-server' | 'canary'): Promise<Agent> {
  const paths = { ca: home.paths.ca.cert, ...home.paths.client(identity) };
  const agent = new Agent({
    ...clientTlsOptions(await readTlsFiles(paths, 'client')),
    keepAlive: true,
    maxSockets: 2,
  });
  agents.push(agent);
  return agent;
}

interface Answer {
  readonly status: number;
  /** Serial number of the server's certificate. */
  readonly serial: string;
  readonly reused: boolean;
}

/** Whom a connection spoke to: the socket forgets it when it ends. */
const peers = new WeakMap<object, string>();

function ask(agent: Agent): Promise<Answer> {
  const port = service.addresses[0]?.port;
  return new Promise((resolve, reject) => {
    const call = request({ host: '127.0.0.1', port, path: '/health/live', agent }, (response) => {
      const serial = peers.get(response.socket) ?? '';
      response.resume();
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, serial, reused: call.reusedSocket }),
      );
    });
    call.on('socket', (socket) => {
      socket.once('secureConnect', () => {
        if (!(socket instanceof TLSSocket)) return;
        peers.set(socket, socket.getPeerX509Certificate()?.serialNumber ?? '');
      });
    });
    call.on('error', reject);
    call.end();
  });
}

/** The idle connection that an agent keeps. */
function keptBy(agent: Agent): Socket {
  const [socket] = Object.values(agent.freeSockets).flat();
  if (socket === undefined) throw new Error('the connection was not kept');
  return socket.on('error', () => undefined);
}

const subjects = ['server', 'sanctum-server', 'canary', 'engine'];
const renewal = () => ({
  home: home.paths,
  instance: home.instance,
  addresses: [],
  subjects,
  select: 'all' as const,
});

describe('a listener that follows its files', () => {
  it('ends a connection that never begins its handshake', async () => {
    const begunMs = performance.now();
    const silent = connect(service.addresses[0]?.port ?? 0, '127.0.0.1').resume();
    await once(silent, 'close');
    expect(performance.now() - begunMs).toBeGreaterThan(HANDSHAKE_MS / 2);
  });

  it(`answers every request over ${ROTATIONS} rotations under load`, async () => {
    const failures: unknown[] = [];
    let answered = 0;
    running = true;
    let agent = await agentOf('sanctum-server');
    const load = Array.from({ length: CLIENTS }, async () => {
      while (running && failures.length === 0) {
        // As the router does: who begins a request takes the newest certificate.
        await ask(agent).then(
          ({ status }) => (status === 200 ? (answered += 1) : failures.push(status)),
          (error: unknown) => failures.push(error),
        );
      }
    });
    const seen = new Set<string>();
    for (let rotation = 0; rotation < ROTATIONS; rotation += 1) {
      await renewCertificates(renewal());
      await live.refresh();
      agent = await agentOf('sanctum-server');
      const before = answered;
      await waitUntil(() => answered > before + CLIENTS, { what: 'the load goes on' });
      seen.add((await ask(agent)).serial);
      seen.add((await ask(await agentOf('canary'))).serial);
    }
    stop();
    await Promise.all(load);
    expect(failures).toEqual([]);
    expect(answered).toBeGreaterThan(ROTATIONS * CLIENTS);
    // Each rotation was taken over: connections made after it met a certificate of their own.
    expect(seen.size).toBe(ROTATIONS);
    expect(seen.has(live.material.serial)).toBe(true);
  });

  it('leaves open connections open when certificates change', async () => {
    const agent = await agentOf('canary');
    const before = await ask(agent);
    await renewCertificates(renewal());
    await live.refresh();
    expect(live.material.serial).not.toBe(before.serial);
    expect(await ask(agent)).toEqual({ status: 200, serial: before.serial, reused: true });
  });

  it('notices a change by itself, and keeps what it has when a file is broken', async () => {
    const { serial } = live.material;
    await renewCertificates(renewal());
    await waitUntil(() => live.material.serial !== serial, { what: 'it takes over the new one' });
    const shown = await service.metrics.registry.metrics();
    const expiry = live.material.notAfter.getTime() / 1000;
    expect(shown).toContain(
      `sanctum_engine_certificate_expiry_timestamp_seconds{listener="mtls"} ${expiry}\n`,
    );
    const kept = live.material;
    await revokeCertificates({ home: home.paths, target: 'server' });
    await live.refresh();
    expect(live.material).toMatchObject({ serial: kept.serial, cert: kept.cert });
    expect(live.material.revoked.has(kept.serial)).toBe(true);
    await issueCertificate({ home: home.paths, instance: home.instance, kind: 'server' });
    await waitUntil(() => live.material.serial !== kept.serial, { what: 'it takes over another' });
  });
});

describe("a service's own certificate", () => {
  it('is renewed at its request, and what it takes over is known', async () => {
    const { cert, key } = home.paths.client('engine');
    const [before, { serial }] = [await readFile(key, 'utf8'), live.material];
    const report = await renewCertificates({
      ...renewal(),
      subjects: ['server', 'engine'],
      answerTimeoutMs: 20_000,
    });
    expect(report).toMatchObject({ byRequest: [cert], problems: [] });
    expect(await readFile(key, 'utf8')).not.toBe(before);
    await untilTakenOver(home.paths, ['engine']);
    expect(live.material.serial).not.toBe(serial);
    await service.stop();
    expect(await readdir(join(home.paths.certs, 'requests'))).toEqual([]);
  });
});

describe('how requests came in', () => {
  it('is counted by identity', async () => {
    await ask(await agentOf('canary'));
    await ask(await agentOf('sanctum-server'));
    await service.stop();
    const record = await readTransportRecord(join(home.paths.state, 'transport', 'engine.json'));
    // Of one day, or of two where midnight came between.
    expect(Object.values(record?.days ?? {}).flat()).toEqual([
      { transport: 'mtls', identity: 'canary', count: 1 },
      { transport: 'mtls', identity: 'sanctum-server', count: 1 },
    ]);
  });
});

describe('revocation', () => {
  it('cuts live connections of the serial within 5 s, and no others', async () => {
    const [canary, router] = [await agentOf('canary'), await agentOf('sanctum-server')];
    await Promise.all([ask(canary), ask(router)]);
    const kept = keptBy(canary);
    const { revoked } = await revokeCertificates({ home: home.paths, target: 'canary' });
    expect(revoked).toHaveLength(1);
    await waitUntil(() => kept.closed, { what: 'its connection is cut', timeoutMs: 5000 });
    await expect(ask(canary)).rejects.toThrow();
    expect(await ask(router)).toMatchObject({ status: 200, reused: true });
  });

  it('refuses new handshakes, and takes the certificate that replaces the revoked one', async () => {
    const old = await agentOf('canary');
    const options = { home: home.paths, instance: home.instance } as const;
    await issueCertificate({ ...options, kind: 'client', identity: 'canary' });
    await revokeCertificates({ home: home.paths, target: 'canary', keepNewest: true });
    await live.refresh();
    await expect(ask(old)).rejects.toThrow();
    expect((await ask(await agentOf('canary'))).status).toBe(200);
  });
});

describe('a certificate that expires', () => {
  const LIFE_MS = 3_600_000;
  /** Longer than a sweep takes to come: what is cut too early is seen. */
  const LEAD_MS = 1500;
  const systemMs = Date.now.bind(Date);

  afterEach(() => {
    Date.now = systemMs;
  });

  /** Keep-alive connections under a certificate of its own, and when it ends. */
  async function expiring(): Promise<{ agent: Agent; notAfterMs: number }> {
    const { notAfter } = await issueCertificate({
      ...{ home: home.paths, instance: home.instance, kind: 'client', identity: 'canary' },
      days: LIFE_MS / 86_400_000,
    });
    return { agent: await agentOf('canary'), notAfterMs: notAfter.getTime() };
  }

  /** Puts the clock right: from now on it goes on from shortly before a moment. */
  function setClock(momentMs: number): void {
    const offsetMs = momentMs - LEAD_MS - systemMs();
    Date.now = () => systemMs() + offsetMs;
  }

  it('ends the idle connections that it opened, and no others', async () => {
    const { agent, notAfterMs } = await expiring();
    const router = await agentOf('sanctum-server');
    await Promise.all([ask(agent), ask(router)]);
    const kept = keptBy(agent);
    setClock(notAfterMs);
    await waitUntil(() => kept.closed, { what: 'its connection is cut' });
    expect(Date.now()).toBeGreaterThanOrEqual(notAfterMs);
    expect(await ask(router)).toMatchObject({ status: 200, reused: true });
  });

  it('leaves what is under way a little longer, and then ends it as well', async () => {
    const { agent, notAfterMs } = await expiring();
    const port = service.addresses[0]?.port;
    const call = request({ host: '127.0.0.1', port, path: '/open', agent }).end();
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    await once(response, 'data');
    setClock(notAfterMs + EXPIRED_GRACE_MS);
    let failure: NodeJS.ErrnoException | undefined;
    response.resume().on('error', (error) => (failure = error));
    const { code } = await waitUntil(() => failure, { what: 'its connection is cut' });
    expect(code).toBe('ECONNRESET');
    expect(Date.now()).toBeGreaterThanOrEqual(notAfterMs + EXPIRED_GRACE_MS);
  });
});

describe('a rollover of the CA', () => {
  it('accepts both CAs, then the new one alone, without a request lost', async () => {
    const before = await agentOf('canary');
    expect((await ask(before)).status).toBe(200);
    await trustNextAuthority(home.paths, home.instance);
    await live.refresh();
    expect((await ask(before)).reused).toBe(true);
    // A client that knows both CAs by now, and has a certificate of the old one.
    const veteran = await agentOf('canary');
    await signWithNextAuthority(home.paths);
    await renewCertificates(renewal());
    await live.refresh();
    const modern = await agentOf('canary');
    expect((await ask(veteran)).serial).toBe(live.material.serial);
    expect((await ask(modern)).serial).toBe(live.material.serial);
    expect(await ask(before)).toMatchObject({ status: 200, reused: true });
    await dropOldAuthority(home.paths);
    await live.refresh();
    expect(await ask(modern)).toMatchObject({ status: 200, reused: true });
    await expect(ask(before)).rejects.toThrow();
    await expect(ask(veteran)).rejects.toThrow();
  });
});
