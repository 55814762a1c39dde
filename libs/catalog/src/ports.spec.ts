import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { writeExampleInstance } from './example.js';
import { homePaths } from './home-paths.js';
import { loadInstance } from './load-instance.js';
import { PORT_NAMES, portsOf } from './port-table.js';
import { pickFreePorts, readPorts, writePorts } from './ports.js';

let home = '';
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'sanctum-ports-'));
  writeExampleInstance({
    home,
    name: 'test',
    timezone: 'UTC',
    model: '/models/padawan',
    modelName: 'padawan',
  });
});
afterAll(() => {
  rmSync(home, { recursive: true });
});

describe('recorded ports', () => {
  it('move listeners and the backend URLs that point at them', () => {
    const paths = homePaths(home);
    writePorts(paths.portsFile, { nats: 41, 'engine.tls': 42, router: 43 });
    const { services } = loadInstance(paths.instanceFile);
    expect(services.nats).toMatchObject({ port: 41, monitor_port: 8222 });
    expect(services.engine?.listeners).toMatchObject({ plain: { port: 1337 }, tls: { port: 42 } });
    expect(services.router?.port).toBe(43);
    expect(services.router?.backends['council-secure']?.url).toBe('https://127.0.0.1:42/v1');
    rmSync(paths.portsFile);
    expect(loadInstance(paths.instanceFile).services.router?.port).toBe(8900);
  });

  it('leave URLs of other hosts alone', () => {
    const file = join(home, 'other.yaml');
    const text = readFileSync(homePaths(home).instanceFile, 'utf8');
    writeFileSync(file, text.replace('https://127.0.0.1:1338', 'https://shadow.lan:1338'));
    const table = homePaths(home).portsFile;
    writePorts(table, { 'engine.tls': 42 });
    const { services } = loadInstance(file);
    expect(services.router?.backends['council-secure']?.url).toBe('https://shadow.lan:1338/v1');
    rmSync(table);
  });

  it('are refused when the record is not one', () => {
    const file = join(home, 'broken.json');
    writeFileSync(file, '{"version":1,"ports":{"engine":1}}');
    expect(() => readPorts(file)).toThrow(/remove it and run/);
    writeFileSync(file, '{');
    expect(() => readPorts(file)).toThrow(/remove it and run/);
  });
});

describe('pickFreePorts', () => {
  it('gives one port per name, all different', async () => {
    const ports = await pickFreePorts(PORT_NAMES);
    expect(new Set(Object.values(ports)).size).toBe(PORT_NAMES.length);
    for (const port of Object.values(ports)) {
      expect(port).toBeGreaterThan(1023);
    }
  });

  it('gives ports that nobody is given by chance before they are used', async () => {
    const names = Array.from({ length: 100 }, (_, at) => `port ${at}`);
    const picked = new Set(Object.values(await pickFreePorts(names)));
    // Among so many of some 14,000 ports, twenty would be met again.
    for (let count = 0; count < 3_000; count += 1) {
      expect(picked).not.toContain(await listenOnce(0));
    }
    for (const port of picked) expect(await listenOnce(port)).toBe(port);
  });
});

async function listenOnce(port: number): Promise<number> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  const { port: given } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return given;
}

describe('portsOf', () => {
  it('lists the listeners of enabled services', () => {
    expect(portsOf(loadInstance(homePaths(home).instanceFile))).toEqual({
      nats: 4222,
      'nats.monitor': 8222,
      'engine.plain': 1337,
      'engine.tls': 1338,
      router: 8900,
    });
  });
});
