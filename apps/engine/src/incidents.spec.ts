import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SUBJECTS } from '@sanctum/contracts';
import { createTempHome, NatsServer, waitUntil, type TempHome } from '@sanctum/testing';
import { chat, EngineProcess } from './testing/engine-process.js';
import { sealModel } from './testing/sealed-model.js';

let home: TempHome;
let nats: NatsServer;
let engine: EngineProcess;

beforeAll(async () => {
  home = await createTempHome({ identities: ['engine', 'sanctumctl'] });
  nats = await NatsServer.start({ home });
  const { dir, publicKey } = await sealModel(home.paths.models);
  const services = {
    nats: { port: Number(new URL(nats.url).port) },
    engine: {
      model: dir,
      manifest: { public_keys: [publicKey] },
      listeners: { plain: { port: 0 }, tls: { port: 0 } },
    },
  };
  const instance = { instance: { name: home.instance }, services };
  writeFileSync(home.paths.instanceFile, JSON.stringify(instance));
  engine = await EngineProcess.start([], { SANCTUM_HOME: home.paths.home });
  await engine.line('bus_connected');
});

afterAll(async () => {
  expect((await engine.stop()).code).toBe(0);
  await nats.stop();
  await home.remove();
});

async function killWorker(): Promise<void> {
  const before = await engine.workerPid();
  process.kill(before, 'SIGKILL');
  await waitUntil(
    async () => {
      const ready = await fetch(`${engine.url}/health/ready`);
      const { worker } = (await ready.json()) as { worker: { pid?: number } };
      return ready.ok && worker.pid !== before;
    },
    { what: 'another worker serves' },
  );
}

/** Waits until so many incidents are kept for NATS: none when all are delivered. */
function spooled(count: number): Promise<void> {
  return engine.reaches('sanctum_mlx_bus_spooled_events', count);
}

describe('a restarted worker', () => {
  it('is told on NATS', async () => {
    const operator = await nats.connectAs('sanctumctl');
    const incidents = operator.subscribe(SUBJECTS.workerRestarted.subject, { max: 1 });
    await operator.flush();
    await killWorker();
    for await (const message of incidents) {
      expect(message.json()).toMatchObject({
        service: 'engine',
        instance: 'test',
        data: { cause: 'signal', signal: 'SIGKILL', restarts: 1, requestsLost: 0 },
      });
    }
    await operator.close();
    await spooled(0);
  });

  it('is told later when NATS is away, and answers do not wait for it', async () => {
    await nats.kill();
    await engine.line('bus_disconnected');
    expect((await chat(engine.url, { max_tokens: 4 })).status).toBe(200);
    await killWorker();
    await spooled(1);
    expect((await chat(engine.url, { max_tokens: 4 })).status).toBe(200);
    await nats.restart();
    await spooled(0);
  });
});
