import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ChainReport } from '@sanctum/audit';
import { waitUntil } from '@sanctum/testing';
import { ask } from './ask.js';
import { Instance } from './instance.js';

interface Verdict {
  readonly ok: boolean;
  readonly chains: readonly ChainReport[];
}

describe('the audit of an instance', () => {
  let instance: Instance;

  beforeAll(async () => {
    instance = await Instance.create();
    const { code, stderr } = await instance.up();
    expect({ code, stderr }).toMatchObject({ code: 0 });
  }, 180_000);

  afterAll(async () => {
    await instance.destroy();
  });

  async function verify(): Promise<Verdict> {
    const { stdout } = await instance.run('audit', 'verify', '--json');
    return JSON.parse(stdout) as Verdict;
  }

  it('holds each chain by the other, and after a router killed with SIGKILL', async () => {
    await ask(await instance.url('router'));
    const anchored = await waitUntil(
      async () => {
        const found = await verify();
        const held = found.chains.filter(({ anchors }) => anchors.held > 0);
        return held.length === 2 && found;
      },
      { what: 'router and engine have seen each other', timeoutMs: 60_000 },
    );
    expect(anchored.ok).toBe(true);
    expect(anchored.chains.map(({ service }) => service)).toEqual(['engine', 'router']);
    const { pid } = await instance.service('router');
    process.kill(pid ?? 0, 'SIGKILL');
    await waitUntil(
      async () => {
        const router = await instance.service('router');
        return router.healthy && router.pid !== pid;
      },
      { what: 'the router is back', timeoutMs: 60_000 },
    );
    await ask(await instance.url('router'));
    const after = await verify();
    expect(after.chains.map(({ broken }) => broken)).toEqual([undefined, undefined]);
    const { stdout } = await instance.run('audit', 'grep', '"event":"request"', '--json');
    const [line] = stdout.split('\n');
    expect(JSON.parse(line ?? '')).toMatchObject({
      service: 'router',
      data: { outcome: 'answered', digest: (await instance.status()).model.digest },
    });
  });

  it('names the line that was changed', async () => {
    await instance.run('down');
    const folder = path.join(instance.home, 'audit', 'router');
    const [segment = ''] = (await readdir(folder)).filter((name) => name.endsWith('.jsonl'));
    const file = path.join(folder, segment);
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('"event":"started"', '"event":"stopped"'));
    const { code, stdout } = await instance.run('audit', 'verify');
    expect(code).toBe(1);
    expect(stdout).toContain(`${file}:2  does not follow from line 1`);
  });
});
