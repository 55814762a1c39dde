import path from 'node:path';
import { afterEach, expect, it } from '@jest/globals';
import { RunningProgram } from '@sanctum/testing';

/** Of starting a service from its source, on a busy machine. */
const START_TIMEOUT_MS = 60_000;
const programs: RunningProgram[] = [];
afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.kill()));
});

async function start(...args: string[]): Promise<{ program: RunningProgram; url: string }> {
  const fixture = path.join(import.meta.dirname, 'service.fixture.ts');
  const program = await RunningProgram.startSource(fixture, { args });
  programs.push(program);
  const line = await program.line((text) => text.includes('"msg":"ready"'), START_TIMEOUT_MS);
  const { addresses } = JSON.parse(line) as { addresses: [{ url: string }] };
  return { program, url: addresses[0].url };
}

it.each(['SIGTERM', 'SIGINT'] as const)(
  '%s finishes the request under way, refuses new ones, and exits 0',
  async (signal) => {
    const { program, url } = await start();
    const answer = fetch(`${url}/held`);
    await program.line((text) => text.includes('"msg":"held"'));
    program.signal(signal);
    await program.line((text) => text.includes('"msg":"stopping"'));
    await expect(fetch(`${url}/health/live`)).rejects.toThrow();
    program.signal('SIGUSR2');
    expect(await (await answer).text()).toBe('done');
    expect(await program.exited).toEqual({ code: 0, signal: null });
    expect(program.lines.filter((text) => text.includes('"msg":"drained"'))).toHaveLength(1);
  },
);

it('cuts what is not done at the deadline, and still exits 0', async () => {
  const { program, url } = await start('200');
  const answer = expect(fetch(`${url}/held`)).rejects.toThrow();
  await program.line((text) => text.includes('"msg":"held"'));
  program.signal('SIGTERM');
  await answer;
  expect(await program.exited).toEqual({ code: 0, signal: null });
});

it('does not wait when it is told twice', async () => {
  const { program, url } = await start();
  const answer = expect(fetch(`${url}/held`)).rejects.toThrow();
  await program.line((text) => text.includes('"msg":"held"'));
  program.signal('SIGTERM');
  await program.line((text) => text.includes('"msg":"stopping"'));
  program.signal('SIGTERM');
  await answer;
  expect(await program.exited).toEqual({ code: 1, signal: null });
});

it('logs a defect and exits 1', async () => {
  const { program, url } = await start();
  await fetch(`${url}/defect`).catch(() => undefined);
  expect(await program.exited).toEqual({ code: 1, signal: null });
  const line = program.lines.find((text) => text.includes('uncaught_exception')) ?? '{}';
  expect(JSON.parse(line)).toMatchObject({
    level: 'fatal',
    err: { message: 'a broken invariant', stack: expect.stringContaining('service.fixture') },
  });
});
