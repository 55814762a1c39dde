import { readFileSync, renameSync } from 'node:fs';
import { request, type RequestOptions } from 'node:https';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  clientTlsOptions,
  readTlsFiles,
  renewCertificates,
  revokeCertificates,
} from '@sanctum/identity';
import {
  BAD_CERTIFICATES,
  badCertificate,
  createTempHome,
  UpstreamProgram,
  waitUntil,
  type TempHome,
} from '@sanctum/testing';
import { startTestRouter, type TestRouter } from './router.fixture.js';

const CHAT = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
const ROTATIONS = 10;
const CLIENTS = 6;
let home: TempHome;
let engine: UpstreamProgram;
let router: TestRouter | undefined;

beforeAll(async () => {
  home = await createTempHome({ identities: ['sanctum-server', 'council-offbox'] });
  const { ca, server } = home.paths;
  engine = await UpstreamProgram.start({ tls: { ca: ca.cert, ...server } });
});
afterAll(async () => {
  await engine.kill();
  await home.remove();
});
afterEach(async () => {
  await router?.stop();
  router = undefined;
});

async function started(section: object = {}): Promise<TestRouter> {
  const backends = { council: { url: engine.url('well') } };
  router = await startTestRouter({
    home: home.paths.home,
    router: { backends, tls: { port: 0 }, ...section },
  });
  return router;
}

/** One question over the mTLS listener; rejects when there is no answer. */
function ask(port: number, tls: RequestOptions): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const options: RequestOptions = {
      ...{ host: '127.0.0.1', port, path: '/v1/chat/completions', method: 'POST', agent: false },
      headers: { 'content-type': 'application/json' },
      ...tls,
    };
    const call = request(options, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (body += chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    call.on('error', reject);
    call.end(JSON.stringify(CHAT));
  });
}

async function certificateOf(identity: 'sanctum-server' | 'council-offbox') {
  const paths = { ca: home.paths.ca.cert, ...home.paths.client(identity) };
  return clientTlsOptions(await readTlsFiles(paths, 'client'));
}

describe('the mTLS listener of the router', () => {
  it('answers an identity of this instance', async () => {
    const { mtlsPort } = await started();
    expect((await ask(mtlsPort, await certificateOf('council-offbox'))).status).toBe(200);
  });

  it('comes up and serves without the key of the CA', async () => {
    const { ca } = home.paths;
    const away = join(home.paths.home, 'away.key');
    renameSync(ca.key, away);
    try {
      const { mtlsPort } = await started();
      expect((await ask(mtlsPort, await certificateOf('council-offbox'))).status).toBe(200);
    } finally {
      renameSync(away, ca.key);
    }
  });

  it('refuses who has no certificate', async () => {
    const { mtlsPort } = await started();
    const { ca } = await certificateOf('council-offbox');
    await expect(ask(mtlsPort, { ca })).rejects.toThrow();
  });

  it.each(BAD_CERTIFICATES)('refuses a certificate %s', async (fault) => {
    const { mtlsPort } = await started();
    const { instance, paths } = home;
    const bad = await badCertificate(fault, { home: paths, instance, identity: 'council-offbox' });
    const before = engine.requests.length;
    const ca = readFileSync(paths.ca.cert, 'utf8');
    const outcome = await waitUntil(
      async () => {
        const { status } = await ask(mtlsPort, { ca, ...bad }).catch(() => ({ status: 0 }));
        // The list of what is revoked is read once it has been still.
        return status === 200 && fault === 'revoked' ? undefined : { status };
      },
      { what: 'the certificate is refused' },
    );
    const named = fault === 'without an identity' || fault === 'of another instance';
    expect(outcome.status).toBe(named ? 403 : 0);
    if (fault !== 'revoked') expect(engine.requests).toHaveLength(before);
    expect((await ask(mtlsPort, await certificateOf('council-offbox'))).status).toBe(200);
  });

  it('fails closed on a certificate that is named, and says that one is missing', async () => {
    const tls = { port: 0, cert: 'gone.crt', key: 'gone.key' };
    await expect(started({ tls })).rejects.toThrow(/gone\.crt/);
  });
});

describe('towards upstreams', () => {
  it(`changes its certificate ${ROTATIONS} times under load without a failed request`, async () => {
    const { post, logged } = await started();
    const statuses = new Map<number, number>();
    let asking = true;
    const load = Array.from({ length: CLIENTS }, async () => {
      while (asking) {
        const answer = await post(CHAT);
        await answer.text();
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      }
    });
    try {
      for (let rotation = 1; rotation <= ROTATIONS; rotation += 1) {
        await renewCertificates({
          home: home.paths,
          instance: home.instance,
          addresses: [],
          subjects: ['sanctum-server'],
          select: 'all',
        });
        await waitUntil(() => logged('Registered backend').length > rotation, {
          what: `rotation ${rotation} is taken over`,
        });
      }
    } finally {
      asking = false;
      await Promise.all(load);
    }
    expect([...statuses.keys()]).toEqual([200]);
    expect(statuses.get(200)).toBeGreaterThan(ROTATIONS);
  }, 180_000);

  it('reverts visibly when a certificate found by convention is gone', async () => {
    const { post, logs, logged } = await started();
    await revokeCertificates({ home: home.paths, target: 'sanctum-server' });
    await waitUntil(() => logged('Registered backend').at(-1)?.['transport'] === 'tls', {
      what: 'the change is seen',
    });
    const warnings = logs.filter(({ msg }) => String(msg).includes('without a client certificate'));
    expect(warnings).toHaveLength(1);
    expect((await post(CHAT)).status).toBe(502);
  });
});
