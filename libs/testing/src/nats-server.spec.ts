import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { natsCapabilities, parseNatsVersion } from '@sanctum/contracts';
import { connect } from '@nats-io/transport-node';
import { NATS_HOME_TIMEOUT_MS, startNatsHome, type NatsHome } from './nats-home.js';
import type { NatsServer } from './nats-server.js';
import { waitUntil } from './wait-until.js';

const run = promisify(execFile);
const script = fileURLToPath(new URL('../../../tools/provision/nats-server.mjs', import.meta.url));

describe('nats-server under test', () => {
  let nats: NatsHome;
  let server: NatsServer;

  beforeAll(async () => {
    nats = await startNatsHome();
    ({ server } = nats);
  }, NATS_HOME_TIMEOUT_MS);
  afterAll(() => nats.remove());

  it('knows a client by the URI of its certificate', async () => {
    const connection = await server.connectAs('engine');
    const answer = await fetch(`${server.monitorUrl}/connz?auth=true`);
    const { connections } = (await answer.json()) as { connections: { authorized_user: string }[] };
    expect(connections.map((entry) => entry.authorized_user)).toEqual([
      'spiffe://sanctum.test/svc/engine/g1',
    ]);
    await connection.close();
  });

  it('shows who has no certificate the door', async () => {
    const options = { servers: server.url, timeout: 5000, reconnect: false };
    const tls = { rejectUnauthorized: false };
    await expect(connect({ ...options, tls })).rejects.toThrow();
    // The server says why: its alert may be lost to the reset that follows it.
    const reason = "client didn't provide a certificate";
    await waitUntil(() => server.lines.some((line) => line.includes(reason)), { what: reason });
    await expect(connect(options)).rejects.toThrow(/verify/);
  });

  it('keeps its port over a kill', async () => {
    const { url } = server;
    await server.kill();
    await expect(server.connectAs('engine')).rejects.toThrow();
    await server.restart();
    expect(server.url).toBe(url);
    await (await server.connectAs('engine')).close();
  });
});

describe('provisioning', () => {
  it.each([
    '2.9.10',
    '2.10.22',
    '2.11.14',
    '2.11.15',
    '2.12.5',
    '2.12.6',
    '2.12.15',
    '2.15.2',
    '3.0.0',
  ])('agrees with the contracts on %s', async (version) => {
    const source = `import { isVulnerable } from ${JSON.stringify(pathToFileURL(script).href)};
        process.stdout.write(String(isVulnerable(${JSON.stringify(version)})));`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', source]);
    expect(stdout).toBe(String(natsCapabilities(parseNatsVersion(version)).vulnerable));
  });

  it('says what to do where there is nothing', async () => {
    const empty = await mkdtemp(path.join(tmpdir(), 'sanctum-empty-'));
    const env = { PATH: empty, HOME: empty };
    await expect(run(process.execPath, [script], { env })).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/nats-server is missing.*Install Go/) as unknown,
    });
    await rm(empty, { recursive: true });
  });

  it('takes the one it is told to take, and no other', async () => {
    const env = { PATH: '', SANCTUM_NATS_SERVER: process.execPath };
    await expect(run(process.execPath, [script], { env })).rejects.toMatchObject({ code: 1 });
  });
});
