import { writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { IDENTITIES } from '@sanctum/contracts';
import {
  createTempHome,
  NatsServer,
  RunningProgram,
  UpstreamProgram,
  waitUntil,
  type TempHome,
} from '@sanctum/testing';
import { ownPort } from './own-port.fixture.js';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const CHAT = { model: 'padawan', messages: [{ role: 'user', content: 'What is 2+2?' }] };

describe('the router as a process', () => {
  let home: TempHome;
  let nats: NatsServer;
  let engine: UpstreamProgram;
  let shadow: UpstreamProgram;
  let router: RunningProgram | undefined;

  beforeAll(async () => {
    home = await createTempHome({ identities: IDENTITIES });
    nats = await NatsServer.start({ home });
    engine = await startEngine();
    shadow = await UpstreamProgram.start();
  }, 180_000);
  afterAll(async () => {
    await Promise.all([nats.stop(), engine.kill(), shadow.kill()]);
    await home.remove();
  });
  afterEach(async () => {
    await router?.stop();
    router = undefined;
  });

  async function startEngine(): Promise<UpstreamProgram> {
    const { ca, server } = home.paths;
    return UpstreamProgram.start({ tls: { ca: ca.cert, ...server }, port: await ownPort() });
  }

  /** The last failover in the stream, as the operator reads it. */
  async function storedFailover(): Promise<unknown> {
    const operator = await nats.connectAs('sanctumctl');
    const query = JSON.stringify({ last_by_subj: 'sanctum.incident.failover' });
    const data = await waitUntil(
      async () => {
        const reply = await operator.request('$JS.API.STREAM.MSG.GET.INCIDENTS', query, {
          timeout: 20_000,
        });
        return reply.json<{ message?: { data: string } }>().message?.data;
      },
      { what: 'the failover is in INCIDENTS' },
    );
    await operator.close();
    return JSON.parse(Buffer.from(data, 'base64').toString('utf8'));
  }

  function settings(): { council: Record<string, unknown>; router: Record<string, unknown> } {
    const council = {
      url: engine.url('well'),
      fallback_urls: [shadow.url('well')],
      models: ['padawan'],
      tls: { identity: 'sanctum-server' },
    };
    return { council, router: { port: 0, default: 'council', backends: { council } } };
  }

  async function start(section: object, args: string[] = []): Promise<RunningProgram> {
    const file = home.paths.instanceFile;
    const port = Number(new URL(nats.url).port);
    const services = { nats: { port }, router: section };
    writeFileSync(file, JSON.stringify({ instance: { name: home.instance }, services }));
    router = await RunningProgram.startSource(MAIN, { args: ['--router-config', file, ...args] });
    return router;
  }

  async function urlOf(program: RunningProgram): Promise<string> {
    const line = await program.line((text) => text.includes('"msg":"ready"'), 60_000);
    const { addresses } = JSON.parse(line) as { addresses: { url: string }[] };
    return addresses[0]?.url ?? '';
  }

  const chat = (url: string): Promise<Response> =>
    fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(CHAT) });

  it('serves, reports a failover to INCIDENTS, outlives NATS, and exits 0 on SIGTERM', async () => {
    const program = await start(settings().router);
    const url = await urlOf(program);
    await program.line((text) => text.includes('bus_connected'));

    const first = await chat(url);
    expect([first.status, first.headers.get('x-sanctum-url-index')]).toEqual([200, '0']);
    expect(engine.requests.at(-1)?.peer).toBe('sanctum-server');
    await first.text();

    await engine.kill();
    const second = await chat(url);
    expect([second.status, second.headers.get('x-sanctum-url-index')]).toEqual([200, '1']);
    await second.text();
    expect(await storedFailover()).toMatchObject({
      service: 'router',
      instance: home.instance,
      data: {
        backend: 'council',
        url: engine.url('well'),
        winningUrl: shadow.url('well'),
        requestId: second.headers.get('x-request-id'),
        attempts: 2,
      },
    });

    await nats.kill();
    await program.line((text) => text.includes('bus_disconnected'));
    for (let round = 0; round < 5; round++) {
      const answer = await chat(url);
      expect(answer.status).toBe(200);
      await answer.text();
    }
    expect((await fetch(`${url}/health`)).status).toBe(200);
    expect(await program.stop()).toEqual({ code: 0, signal: null });
    expect(program.lines.join('\n')).not.toContain('2+2');
    await nats.restart();
    engine = await startEngine();
  });

  it('takes host and port from the command line over the file', async () => {
    const port = await ownPort();
    const program = await start({ ...settings().router, host: '0.0.0.0' }, [
      ...['--host', '127.0.0.1', '--port', String(port)],
    ]);
    expect(await urlOf(program)).toBe(`http://127.0.0.1:${port}`);
  });

  describe('ends with one clear line, before any port opens, for', () => {
    const broken: [string, (section: ReturnType<typeof settings>) => object, RegExp][] = [
      [
        'an unknown key',
        ({ router: section }) => ({ ...section, fallback: 1 }),
        /config_invalid: .*services\.router.*fallback/s,
      ],
      [
        'an unreadable certificate',
        ({ router: section, council }) => ({
          ...section,
          backends: { council: { ...council, tls: { cert: 'gone.crt', key: 'gone.key' } } },
        }),
        /certificate_invalid: .*gone\.(crt|key)/,
      ],
      [
        'a key that is not set',
        ({ router: section, council }) => ({
          ...section,
          backends: { council: { ...council, api_key_env: 'SANCTUM_NO_SUCH_KEY' } },
        }),
        /\$SANCTUM_NO_SUCH_KEY, which is not set/,
      ],
      [
        'no backend',
        ({ router: section }) => ({ ...section, default: undefined, backends: {} }),
        /services\.router\.backends declares no backend/,
      ],
    ];
    it.each(broken)('%s', async (_name, change, message) => {
      const program = await start(change(settings()));
      const { code } = await program.exited;
      expect(code).toBe(1);
      const said = program.lines.join('\n');
      expect(said).toMatch(message);
      expect(said).not.toContain('"msg":"ready"');
      expect(said).not.toMatch(/^\s+at /m);
    });

    it('a port in use', async () => {
      const taken = createServer().listen(0, '127.0.0.1');
      await once(taken, 'listening');
      const { port } = taken.address() as AddressInfo;
      const program = await start({ ...settings().router, port });
      expect((await program.exited).code).toBe(1);
      expect(program.lines.join('\n')).toMatch(new RegExp(`port_in_use: 127\\.0\\.0\\.1:${port}`));
      taken.close();
      await once(taken, 'close');
    });
  });

  it('stays up when its upstreams never come', async () => {
    const council = { url: 'http://127.0.0.1:1/v1', timeouts: { connect_s: 0.1 } };
    const url = await urlOf(await start({ port: 0, backends: { council } }));
    await waitUntil(async () => (await fetch(`${url}/health`)).status === 503, {
      what: 'the router says that it is not healthy',
    });
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
    expect((await chat(url)).status).toBe(502);
  });
});
