import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { commandOf, findProcess, listProcesses, withProcessLock } from '@sanctum/catalog';
import { ControlClient } from '@sanctum/supervision';
import { waitUntil } from '@sanctum/testing';
import type { StatusReport } from './commands/status.js';
import { Checkout } from './testing/checkout.js';

/** For what takes a second on a machine with nothing else to do. */
const COMMAND_MS = 60_000;

let checkout: Checkout;
beforeAll(async () => {
  checkout = await Checkout.make();
});
afterAll(async () => {
  await checkout.remove();
});
afterEach(async () => {
  checkout.refuse(undefined);
  checkout.release();
  await checkout.run('down');
});

async function started(): Promise<void> {
  const { code, stderr } = await checkout.run('up', '--detach', '--ports', 'auto');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
}

async function readStatus(): Promise<StatusReport> {
  return JSON.parse((await checkout.run('status', '--json')).stdout) as StatusReport;
}

function alive(pids: readonly number[]): readonly number[] {
  return pids.filter((pid) => findProcess(pid) !== undefined);
}

/** Never 0: that would signal this very process. */
function known(pid: number | null | undefined): number {
  if (typeof pid !== 'number' || pid <= 1) {
    throw new Error('there is no such process');
  }
  return pid;
}

function allPids({ services, supervisor }: StatusReport): readonly number[] {
  return [
    ...services.flatMap(({ pids }) => pids),
    ...(supervisor === null ? [] : [supervisor.pid]),
  ];
}

describe('up --detach', () => {
  it('renews and revokes while it runs, and NATS reads who may log in', async () => {
    await started();
    const config = () => readFileSync(join(checkout.home, 'config/nats.conf'), 'utf8');
    expect(config()).toContain('svc/drift/g1');
    expect(await checkout.run('certs', 'revoke', 'drift')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('NATS reads who may log in') as unknown,
    });
    expect(config()).not.toContain('svc/drift/');
    expect((await checkout.run('certs', 'renew', '--all')).code).toBe(0);
    expect(config()).toMatch(/svc\/engine\/g2[^]*svc\/engine\/g1/);
    await waitUntil(
      () =>
        readFileSync(join(checkout.home, 'logs/nats.log'), 'utf8').match(
          /Reloaded server configuration/g,
        )?.length === 2,
      { what: 'NATS has read both changes' },
    );
    const { services } = await readStatus();
    expect(services.map(({ name, restarts }) => [name, restarts])).toContainEqual(['nats', 0]);
  });

  it('starts everything in order, asks the canary, and down leaves nothing', async () => {
    const up = await checkout.run('up', '--detach', '--ports', 'auto', '--yes');
    expect(up).toMatchObject({ code: 0, stderr: '' });
    const ticks = [...up.stdout.matchAll(/^✓ (\S+)/gm)].map(([, label]) => label);
    expect(ticks).toEqual([
      ...['home', 'ports', 'certificates', 'nats-server', 'model'],
      ...['nats', 'engine', 'router', 'canary'],
    ]);
    expect(up.stdout).toMatch(/"What is 2\+2\? Respond with only the number\." → "4"/);

    const report = await readStatus();
    expect(report).toMatchObject({
      home: checkout.home,
      model: { id: 'padawan', digest: expect.stringMatching(/^[0-9a-f]{64}$/) },
    });
    expect(report.services.map(({ name, state, healthy }) => [name, state, healthy])).toEqual([
      ['nats', 'ready', true],
      ['engine', 'ready', true],
      ['router', 'ready', true],
    ]);
    for (const { url, pid, pids } of report.services) {
      expect(url).toMatch(/^(tls|https|http):\/\/127\.0\.0\.1:\d+$/);
      expect(pids).toContain(pid);
    }

    const again = await checkout.run('up', '--detach', '--ports', 'auto');
    expect(again.code).toBe(0);
    expect(again.stdout).toContain('already running');
    expect(again.stdout).toContain('→ "4"');
    expect((await readStatus()).supervisor).toEqual(report.supervisor);

    expect((await checkout.run('chat', 'What is 20 + 22?')).stdout).toBe('42\n');

    const pids = allPids(report);
    expect(alive(pids)).toEqual(pids);
    expect(await checkout.run('down')).toMatchObject({ code: 0 });
    expect(alive(pids)).toEqual([]);
    expect((await checkout.run('status')).code).toBe(1);
    expect((await checkout.run('down')).stdout).toContain('Nothing is running');
  });

  it('starts what is down beside a supervisor that runs', async () => {
    await started();
    await new ControlClient(join(checkout.home, 'state/supervisor.sock')).stop('router');
    const again = await checkout.run('up', '--detach', '--ports', 'auto');
    expect(again).toMatchObject({ code: 0 });
    expect(again.stdout).toContain('→ "4"');
  });

  it('brings back a service that is killed', async () => {
    await started();
    const engine = async () => (await readStatus()).services.find(({ name }) => name === 'engine');
    const before = await engine();
    process.kill(known(before?.pid), 'SIGKILL');
    const after = await waitUntil(
      async () => {
        const now = await engine();
        return now?.healthy === true && now.pid !== before?.pid && now;
      },
      { what: 'the engine is back', timeoutMs: COMMAND_MS },
    );
    expect(after.restarts).toBe(1);
  });

  it('says why a service does not start, and leaves nothing running', async () => {
    await started();
    await checkout.run('down');
    checkout.refuse('model.safetensors does not have the listed hash');
    const up = await checkout.run('up', '--detach', '--ports', 'auto');
    expect(up.code).toBe(1);
    expect(up.stderr).toContain('engine did not start: exited with code 1');
    expect(up.stderr).toContain('model.safetensors does not have the listed hash');
    const left = listProcesses().map(({ pid }) => commandOf(pid) ?? '');
    expect(left.filter((command) => command.includes(checkout.home))).toEqual([]);
    const { services, supervisor } = await readStatus();
    expect(supervisor).toBeNull();
    expect(services.flatMap(({ pids }) => pids)).toEqual([]);
  });
});

describe('a control socket that cannot be opened', () => {
  it('ends up at once, with the reason and a home that is free', async () => {
    await started();
    await checkout.run('down');
    const socket = join(checkout.home, 'state/supervisor.sock');
    mkdirSync(socket);
    const reason = `sanctumctl: The control socket ${socket} cannot be opened`;
    for (const flags of [['--detach'], []]) {
      const up = await checkout.run('up', ...flags, '--ports', 'auto');
      expect(up.code).toBe(1);
      expect(up.stderr.split('\n').filter((line) => line.includes(reason))).toHaveLength(1);
      expect(up.stderr).not.toMatch(/^ +at /m);
      expect(existsSync(join(checkout.home, 'state/supervisor.lock'))).toBe(false);
    }
    rmdirSync(socket);
    await started();
  });
});

describe('infra', () => {
  it('runs NATS alone, and makes way for up', async () => {
    await started();
    await checkout.run('down');
    const infra = await checkout.run('infra', '--ports', 'auto');
    expect(infra).toMatchObject({ code: 0, stderr: '' });
    const { services, supervisor } = await readStatus();
    expect(services.map(({ name, healthy }) => [name, healthy])).toEqual([['nats', true]]);
    await started();
    const after = await readStatus();
    expect(after.services.map(({ healthy }) => healthy)).toEqual([true, true, true]);
    expect(after.supervisor).not.toEqual(supervisor);
  });
});

describe('after SIGKILL of the supervisor', () => {
  async function killed(): Promise<StatusReport> {
    await started();
    const report = await readStatus();
    const supervisor = known(report.supervisor?.pid);
    process.kill(supervisor, 'SIGKILL');
    await waitUntil(() => alive([supervisor]).length === 0, {
      what: 'the supervisor is gone',
    });
    return report;
  }

  it('status shows the orphans, and down ends them', async () => {
    const pids = (await killed()).services.flatMap((service) => service.pids);
    expect((await readStatus()).services.map(({ state }) => state)).toEqual([
      'orphaned',
      'orphaned',
      'orphaned',
    ]);
    expect(alive(pids)).toEqual(pids);
    const down = await checkout.run('down');
    expect(down.stdout).toMatch(/Ended router, .*\nEnded engine, .*\nEnded nats, /);
    expect(alive(pids)).toEqual([]);
  });

  it('up ends them and starts anew', async () => {
    const before = await killed();
    const up = await checkout.run('up', '--detach', '--ports', 'auto');
    expect(up).toMatchObject({ code: 0 });
    expect(up.stdout).toContain('Ended nats, left by a supervisor that was killed');
    expect(alive(before.services.flatMap(({ pids }) => pids))).toEqual([]);
    expect((await readStatus()).services.every(({ healthy }) => healthy)).toBe(true);
  });
});

describe('a supervisor that hangs', () => {
  it('is ended by down, with everything it started', async () => {
    await started();
    const report = await readStatus();
    process.kill(known(report.supervisor?.pid), 'SIGSTOP');
    const down = await checkout.run('down');
    expect(down.stdout).toContain('does not answer: it is ended');
    expect(alive(allPids(report))).toEqual([]);
  });
});

describe('two at once', () => {
  it('end with one Sanctum, and neither harms the other', async () => {
    await started();
    await checkout.run('down');
    const both = await Promise.all([
      checkout.run('up', '--detach', '--ports', 'auto'),
      checkout.run('up', '--detach', '--ports', 'auto'),
    ]);
    expect(both.map(({ code }) => code)).toContain(0);
    const report = await readStatus();
    expect(report.services.map(({ healthy }) => healthy)).toEqual([true, true, true]);
    expect(report.services.map(({ restarts }) => restarts)).toEqual([0, 0, 0]);
  });

  it('take turns from the ports to what listens on them', async () => {
    await started();
    await checkout.run('down');
    const lock = join(checkout.home, 'state/up.lock');
    const kept = ['state/ports.json', 'config/nats.conf'].map((name) => join(checkout.home, name));
    const read = () => kept.map((file) => [statSync(file).ino, readFileSync(file, 'utf8')]);
    const before = read();
    await withProcessLock(lock, 0, async () => {
      const late = await checkout.run('up', '--detach', '--ports', 'auto');
      expect(late).toMatchObject({ code: 1 });
      expect(late.stderr).toContain(`${lock} is held by process ${process.pid}`);
    });
    expect(read()).toEqual(before);
    await started();
  });
});

describe('up in the foreground', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'ends with %s and leaves nothing',
    async (signal) => {
      const up = await checkout.start('up', '--ports', 'auto');
      await up.line((line) => line.includes('Ctrl-C stops everything'), COMMAND_MS);
      const report = await readStatus();
      expect(report.supervisor?.pid).toBe(up.pid);
      up.signal(signal);
      expect(await up.exited).toEqual({ code: 0, signal: null });
      expect(alive(allPids(report))).toEqual([]);
    },
  );

  it('ends when somebody runs down', async () => {
    const up = await checkout.start('up', '--ports', 'auto');
    await up.line((line) => line.includes('Ctrl-C stops everything'), COMMAND_MS);
    expect((await checkout.run('down')).code).toBe(0);
    expect(await up.exited).toEqual({ code: 0, signal: null });
  });

  it('can be cut short while it starts', async () => {
    await started();
    await checkout.run('down');
    checkout.hold();
    const up = await checkout.start('up', '--ports', 'auto');
    await up.line((line) => line.startsWith('✓ nats '), COMMAND_MS);
    up.signal('SIGINT');
    expect(await up.exited).toEqual({ code: 1, signal: null });
    expect(up.lines).toContain('sanctumctl: Stopped before engine was ready.');
    expect((await readStatus()).services.flatMap(({ pids }) => pids)).toEqual([]);
  });
});

describe('run-service', () => {
  it('runs one service as a unit would, and ends as it ends', async () => {
    await started();
    const refused = await checkout.run('run-service', 'engine');
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toContain('A supervisor runs in');
    await checkout.run('down');
    const unknown = await checkout.run('run-service', 'nobody');
    expect(unknown).toMatchObject({ code: 1 });
    expect(unknown.stderr).toContain('no service "nobody"; there are: nats, engine, router');

    const engine = await checkout.start('run-service', 'engine');
    await engine.line((line) => line === 'engine listens', COMMAND_MS);
    engine.signal('SIGTERM');
    expect(await engine.exited).toEqual({ code: 0, signal: null });
    checkout.refuse('bad weights');
    const failed = await checkout.run('run-service', 'engine');
    expect(failed).toMatchObject({ code: 1, stdout: 'bad weights\n' });
  });

  it('says how a service was killed', async () => {
    await started();
    await checkout.run('down');
    const engine = await checkout.start('run-service', 'engine');
    await engine.line((line) => line === 'engine listens', COMMAND_MS);
    const child = listProcesses().find(({ parent }) => parent === engine.pid);
    process.kill(known(child?.pid), 'SIGKILL');
    expect(await engine.exited).toEqual({ code: 128 + 9, signal: null });
  });
});

describe('ports', () => {
  let holder: Server;
  beforeEach(async () => {
    holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
  });
  afterEach(async () => {
    holder.close();
    await once(holder, 'close');
  });

  it('in use name the process that holds them', async () => {
    await started();
    const { port } = holder.address() as AddressInfo;
    const text = readFileSync(join(checkout.home, 'instance.yaml'), 'utf8');
    const other = join(checkout.root, 'other');
    mkdirSync(other);
    writeFileSync(join(other, 'instance.yaml'), text.replace('port: 8900', `port: ${port}`));
    const up = await checkout.run('up', '--detach', '--home', other);
    expect(up.code).toBe(1);
    expect(up.stderr).toContain(`Port ${port} (services.router.port) is in use by`);
    expect(up.stderr).toContain(`(process ${process.pid})`);
    expect(up.stderr).toContain('--ports auto');
  });
});
