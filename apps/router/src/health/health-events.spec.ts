import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { IDENTITIES } from '@sanctum/contracts';
import {
  createTempHome,
  NatsServer,
  RunningProgram,
  UpstreamProgram,
  waitUntil,
  type TempHome,
} from '@sanctum/testing';
import { NOON_ZONE } from '../router.fixture.js';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
const STREAM = { stream: true, messages: [{ role: 'user', content: 'What is 2+2?' }] };

describe('incidents of backends', () => {
  let home: TempHome;
  let nats: NatsServer;
  let upstream: UpstreamProgram;
  let router: RunningProgram | undefined;
  beforeAll(async () => {
    home = await createTempHome({ identities: IDENTITIES });
    nats = await NatsServer.start({ home });
    upstream = await UpstreamProgram.start();
  }, 180_000);
  afterAll(async () => {
    await router?.stop();
    await Promise.all([nats.stop(), upstream.kill()]);
    await home.remove();
  });

  async function start(): Promise<string> {
    const council = {
      url: upstream.url('status-500'),
      fallback_urls: [upstream.url('says-usage')],
      daily_cap_completion_tokens: 200,
    };
    const port = Number(new URL(nats.url).port);
    const services = { nats: { port }, router: { port: 0, backends: { council } } };
    const file = home.paths.instanceFile;
    const instance = { name: home.instance, timezone: NOON_ZONE };
    writeFileSync(file, JSON.stringify({ instance, services }));
    router = await RunningProgram.startSource(MAIN, { args: ['--router-config', file] });
    const line = await router.line((text) => text.includes('"msg":"ready"'), 60_000);
    await router.line((text) => text.includes('bus_connected'), 60_000);
    return (JSON.parse(line) as { addresses: { url: string }[] }).addresses[0]?.url ?? '';
  }

  async function stored(subject: string): Promise<{ data: object }> {
    const operator = await nats.connectAs('sanctumctl');
    const query = JSON.stringify({ last_by_subj: subject });
    const data = await waitUntil(
      async () => {
        const reply = await operator.request('$JS.API.STREAM.MSG.GET.INCIDENTS', query, {
          timeout: 20_000,
        });
        return reply.json<{ message?: { data: string } }>().message?.data;
      },
      { what: `${subject} is in INCIDENTS` },
    );
    await operator.close();
    return JSON.parse(Buffer.from(data, 'base64').toString('utf8')) as { data: object };
  }

  it('reach the stream: an opened breaker, and a spent budget', async () => {
    const url = await start();
    for (let count = 0; count < 5; count++) {
      const body = JSON.stringify({ ...STREAM, model: 'x'.repeat(500) });
      await (await fetch(`${url}/v1/chat/completions`, { method: 'POST', body })).text();
    }
    expect(await stored('sanctum.incident.breaker-opened')).toMatchObject({
      data: {
        backend: 'council',
        url: upstream.url('status-500'),
        model: 'x'.repeat(128),
        errorClass: 'status_500',
      },
    });
    expect(await stored('sanctum.incident.budget-spent')).toMatchObject({
      data: { backend: 'council', cap: 200, used: 200 },
    });
  });
});
