import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ask } from './ask.js';
import { Instance } from './instance.js';

const CLIENTS = 2;

/** Asks without pause until it is stopped. */
class Load {
  answered = 0;
  readonly failures: string[] = [];
  readonly #clients: Promise<void>[];
  #stopped = false;

  constructor(router: string) {
    this.#clients = Array.from({ length: CLIENTS }, async () => {
      while (!this.#stopped) {
        await ask(router, { max_tokens: 4 }).then(
          () => (this.answered += 1),
          (error: unknown) => this.failures.push(String(error)),
        );
      }
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }
}

describe('certificates change while everything runs', () => {
  let instance: Instance;
  let load: Load;

  beforeAll(async () => {
    instance = await Instance.create();
    expect(await instance.up()).toMatchObject({ code: 0 });
    load = new Load(await instance.url('router'));
  });
  afterAll(async () => {
    await load.stop();
    expect(await instance.destroy()).toEqual([]);
  });

  const keyOf = (identity: string): Promise<string> =>
    readFile(path.join(instance.home, 'certs/clients', `${identity}.key`), 'utf8');

  it('at the request of the services that run, of each for itself', async () => {
    const before = await Promise.all(['engine', 'sanctum-server'].map(keyOf));
    const renewed = await instance.run('certs', 'renew', '--all');
    expect(renewed).toMatchObject({ code: 0 });
    const asked = renewed.stdout.split('\n').filter((line) => line.includes('request'));
    expect(asked.map((line) => /clients\/([\w-]+)\.crt/.exec(line)?.[1]).sort()).toEqual([
      'engine',
      'sanctum-server',
    ]);
    const after = await Promise.all(['engine', 'sanctum-server'].map(keyOf));
    expect(after.filter((key) => before.includes(key))).toEqual([]);
  });

  it('as the authority does, and one that is taken back', async () => {
    for (const command of [
      ['rollover', 'start'],
      ['rollover', 'finish'],
      ['revoke', 'sanctum-server', '--replace'],
      ['revoke', 'engine', '--replace'],
    ]) {
      expect(await instance.run('certs', ...command)).toMatchObject({ code: 0 });
    }
    expect(await instance.run('certs', 'verify')).toMatchObject({ code: 0 });
  });

  it('and no request is lost', async () => {
    const before = load.answered;
    while (load.failures.length === 0 && load.answered < before + CLIENTS) {
      await ask(await instance.url('router'));
    }
    await load.stop();
    expect(load.failures).toEqual([]);
    process.stdout.write(`${load.answered} requests answered while certificates changed\n`);
  });
});
