import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Instance, processesNaming } from './instance.js';

describe('sanctumctl is predictable', () => {
  let instance: Instance;

  beforeEach(async () => {
    instance = await Instance.create();
  });

  afterEach(async () => {
    expect(await instance.destroy()).toEqual([]);
  });

  it('says on the second up that it is already running, and changes nothing', async () => {
    expect((await instance.up()).code).toBe(0);
    const before = await instance.status();
    const again = await instance.up();
    expect(again.code).toBe(0);
    expect(again.stdout + again.stderr).toMatch(/already running/);
    const pids = (services: typeof before.services) => services.map(({ name, pid }) => [name, pid]);
    expect(pids((await instance.status()).services)).toEqual(pids(before.services));
  });

  it('leaves no process behind, also when the supervisor was killed with -9', async () => {
    expect((await instance.up()).code).toBe(0);
    const supervised = (await instance.status()).services.flatMap(({ pids }) => pids);
    expect(supervised.length).toBeGreaterThanOrEqual(4);
    const supervisors = (await processesNaming(instance.home)).filter(
      (pid) => !supervised.includes(pid),
    );
    expect(supervisors.length).toBeGreaterThan(0);
    for (const pid of supervisors) process.kill(pid, 'SIGKILL');
    expect((await instance.run('down')).code).toBe(0);
    expect(await processesNaming(instance.home)).toEqual([]);
  });

  it('names the process that holds a port it needs', async () => {
    expect((await instance.up()).code).toBe(0);
    expect((await instance.run('down')).code).toBe(0);
    const squatter = createServer().listen(0, '127.0.0.1');
    await once(squatter, 'listening');
    const { port } = squatter.address() as AddressInfo;
    await pinRouterPort(instance.home, port);
    try {
      const { code, stdout, stderr } = await instance.run('up', '--detach', '--yes');
      expect(code).not.toBe(0);
      expect(stdout + stderr).toContain(String(port));
      expect(stdout + stderr).toContain(String(process.pid));
    } finally {
      await new Promise((resolve) => squatter.close(resolve));
    }
  });

  it('points at an unknown key of instance.yaml', async () => {
    expect((await instance.up()).code).toBe(0);
    expect((await instance.run('down')).code).toBe(0);
    const file = path.join(instance.home, 'instance.yaml');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace(/^services:\n/m, 'services:\n  roter: {}\n'));
    const { code, stdout, stderr } = await instance.up();
    expect(code).not.toBe(0);
    expect(stdout + stderr).toContain('services.roter');
  });
});

async function pinRouterPort(home: string, port: number): Promise<void> {
  const file = path.join(home, 'instance.yaml');
  const text = await readFile(file, 'utf8');
  expect(text).toContain('port: 8900');
  await writeFile(file, text.replace('port: 8900', `port: ${port}`));
}
