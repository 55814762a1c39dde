import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { loadInstance, portsOf, type Instance } from '@sanctum/catalog';
import { parseNatsVersion } from '@sanctum/contracts';
import type { Environment } from '../env.js';
import { forgetPorts, settlePorts } from './port-plan.js';
import { ensureCertificates, ensureInstance, writeNatsConfig } from './prepare.js';
import { serviceSpecs } from './service-specs.js';
import { locateSite, type Site } from './site.js';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url)).replace(/\/$/, '');

let folder = '';
let site: Site;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sanctumctl-instance-'));
  site = locateSite(environment(), folder);
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function environment(changes: Partial<Environment> = {}): Environment {
  return {
    checkout: ROOT,
    home: undefined,
    natsServer: undefined,
    path: '/usr/bin:/bin',
    cacheFolder: join(folder, 'cache'),
    temporaryFolder: folder,
    interactive: false,
    inherited: { PATH: '/usr/bin:/bin' },
    authDisabled: false,
    ...changes,
  };
}

describe('locateSite', () => {
  it('prefers --home, then SANCTUM_HOME, then .sanctum of the checkout', () => {
    expect(locateSite(environment({ home: '/b' }), '/a').paths.home).toBe('/a');
    expect(locateSite(environment({ home: '/b' }), undefined).paths.home).toBe('/b');
    expect(locateSite(environment(), undefined).paths.home).toBe(join(ROOT, '.sanctum'));
  });

  it('keeps the socket path short enough for every system', () => {
    const deep = locateSite(environment(), join(folder, 'x'.repeat(120)));
    expect(Buffer.byteLength(deep.socket)).toBeLessThanOrEqual(103);
    expect(site.socket).toBe(join(folder, 'state', 'supervisor.sock'));
  });

  describe('the folder for sockets of homes with long paths', () => {
    const socket = () => locateSite(environment(), join(folder, 'x'.repeat(120))).socket;
    const shared = () => join(folder, `sanctum-${userInfo().uid}`);

    it('is made for this user alone, and used again', () => {
      expect(dirname(socket())).toBe(shared());
      expect(statSync(shared()).mode & 0o777).toBe(0o700);
      expect(dirname(socket())).toBe(shared());
    });

    it.each([
      [
        'a link to another',
        () => {
          mkdirSync(join(folder, 'elsewhere'), { mode: 0o700 });
          symlinkSync(join(folder, 'elsewhere'), shared());
        },
      ],
      [
        'open to others',
        () => {
          mkdirSync(shared());
          chmodSync(shared(), 0o755);
        },
      ],
      ['a file', () => writeFileSync(shared(), '', { mode: 0o700 })],
    ])('is refused when it is %s', (_, make) => {
      make();
      expect(socket).toThrow(`${shared()}, where the control socket`);
    });

    it('is refused when it is of another user', () => {
      if (userInfo().uid !== 0) {
        console.warn('not checked: only root can give a folder away');
        return;
      }
      mkdirSync(shared(), { mode: 0o700 });
      chownSync(shared(), 65_534, 65_534);
      expect(socket).toThrow(`${shared()}, where the control socket`);
    });
  });
});

describe('a prepared home', () => {
  it('has what every service needs, private, and the same the second time', async () => {
    const { instance, created } = ensureInstance(site);
    expect(created).toBe(true);
    expect(instance.services.engine?.model).toBe(join(ROOT, 'deploy/models/padawan'));
    const first = await ensureCertificates(site.paths, instance);
    const second = await ensureCertificates(site.paths, instance);
    expect(first.issued.length).toBeGreaterThan(8);
    expect(second).toEqual({ issued: [], kept: first.issued });
    expect(ensureInstance(site).created).toBe(false);
  });

  it('renders NATS users from the certificates there are', async () => {
    const { instance } = ensureInstance(site);
    await ensureCertificates(site.paths, instance);
    const version = parseNatsVersion('2.9.10');
    await writeNatsConfig(site.paths, instance, { program: '/nats', version, label: '2.9.10' });
    const text = readFileSync(site.paths.natsConfig, 'utf8');
    expect(text).toContain('listen: "127.0.0.1:4222"');
    expect(text).toContain('user: "spiffe://sanctum.home/svc/engine/g1"');
    expect(text).not.toContain('sync_interval');
  });
});

describe('settlePorts', () => {
  it('picks free ones, records them, and keeps them while they are free', async () => {
    const { instance } = ensureInstance(site);
    const picked = portsOf(await settlePorts(instance, site.paths, 'auto'));
    expect(Object.keys(picked)).toHaveLength(5);
    const recorded = loadInstance(site.paths.instanceFile);
    expect(portsOf(recorded)).toEqual(picked);
    expect(portsOf(await settlePorts(recorded, site.paths, 'auto'))).toEqual(picked);

    const holder = createServer().listen(picked.router, '127.0.0.1');
    await once(holder, 'listening');
    await expect(settlePorts(recorded, site.paths, 'configured')).rejects.toMatchObject({
      code: 'port_in_use',
      message: expect.stringContaining(`(process ${process.pid})`),
    });
    const again = portsOf(await settlePorts(recorded, site.paths, 'auto'));
    expect(again.router).not.toBe(picked.router);
    holder.close();
    await once(holder, 'close');

    forgetPorts(site.paths);
    expect(portsOf(loadInstance(site.paths.instanceFile)).router).toBe(8900);
    expect(existsSync(site.paths.portsFile)).toBe(false);
  });
});

describe('serviceSpecs', () => {
  function specs(instance: Instance) {
    return serviceSpecs({
      instance,
      paths: site.paths,
      node: '/usr/bin/node',
      bundles: { engine: '/e.mjs', router: '/r.mjs' },
      natsServer: '/usr/bin/nats-server',
      inherited: { PATH: '/bin', COUNCIL_API_KEY: 'mine' },
      councilToken: 'token',
    });
  }

  it('runs enabled services by absolute programs, each after what it needs', () => {
    const { instance } = ensureInstance(site);
    expect(specs(instance).map(({ name, command, requires }) => [name, command, requires])).toEqual(
      [
        ['nats', ['/usr/bin/nats-server', '--config', site.paths.natsConfig], []],
        ['engine', ['/usr/bin/node', '--max-semi-space-size=1', '/e.mjs'], ['nats']],
        [
          'router',
          ['/usr/bin/node', '/r.mjs', '--router-config', site.paths.instanceFile],
          ['nats', 'engine'],
        ],
      ],
    );
  });

  it('stops services later than they cut their own requests by default', () => {
    const { instance } = ensureInstance(site);
    const timeouts = specs(instance).map(({ name, stopTimeoutMs }) => [name, stopTimeoutMs]);
    expect(timeouts).toEqual([
      ['nats', 5_000],
      ['engine', 15_000],
      ['router', 35_000],
    ]);
  });

  it('requires nothing that is switched off', () => {
    const { instance } = ensureInstance(site);
    const { nats } = instance.services;
    const without = {
      ...instance,
      services: { ...instance.services, ...(nats && { nats: { ...nats, enabled: false } }) },
    };
    expect(specs(without).map(({ name, requires }) => [name, requires])).toEqual([
      ['engine', []],
      ['router', ['engine']],
    ]);
  });

  it('gives the token to the router alone, and only where the operator set none', () => {
    const { instance } = ensureInstance(site);
    const options = { ...specs(instance)[2] };
    expect(options.env?.['COUNCIL_API_KEY']).toBe('mine');
    const [nats, engine, router] = serviceSpecs({
      instance,
      paths: site.paths,
      node: 'node',
      bundles: { engine: 'e', router: 'r' },
      natsServer: 'n',
      inherited: {},
      councilToken: 'token',
    });
    expect(router?.env['COUNCIL_API_KEY']).toBe('token');
    expect([nats, engine].map((spec) => spec?.env['COUNCIL_API_KEY'])).toEqual([
      undefined,
      undefined,
    ]);
  });

  it.each(['0.0.0.0', '192.168.1.5'])('reaches a router at %s over loopback', (host) => {
    const { instance } = ensureInstance(site);
    const { router } = instance.services;
    const open = {
      ...instance,
      services: { ...instance.services, ...(router && { router: { ...router, host } }) },
    };
    expect(specs(open)[2]?.url).toBe('http://127.0.0.1:8900');
  });
});
