import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHome } from '@sanctum/catalog';
import { examine } from '../commands/doctor.js';
import { Operator } from '../testing/operator.js';

let operator: Operator;
beforeEach(() => {
  operator = new Operator();
  createHome(operator.folder);
});
afterEach(() => operator.remove());

async function permissions(): Promise<{ readonly level?: string; readonly detail?: string }> {
  const findings = await examine(operator.site, true);
  return findings.find(({ check }) => check === 'permissions') ?? {};
}

describe('permissions that doctor insists on', () => {
  it.each([
    'secrets/council-mlx.token',
    'secrets/OPENROUTER_API_KEY',
    'certs/ca.key',
    'certs/ca.key.revoked-2026-11-22',
    'certs/ca.next.key',
    'certs/ca.old.key',
    'certs/clients/engine.key',
    'certs/clients/engine.key.revoked-2026-11-22.2',
  ])('finds %s open to others', async (name) => {
    const file = join(operator.folder, name);
    writeFileSync(file, 'secret', { mode: 0o600 });
    expect(await permissions()).toMatchObject({ level: 'ok' });
    chmodSync(file, 0o640);
    expect(await permissions()).toMatchObject({ level: 'fail', detail: `others may read ${file}` });
  });

  it('finds every key and token that instance.yaml names elsewhere', async () => {
    const names = ['engine.token', 'engine.key', 'router.token', 'router.key', 'a.key', 'b.key'];
    const files = names.map((name) => join(operator.folder, 'models', name));
    const [engineToken, engineKey, routerToken, routerKey, aKey, bKey] = files;
    const url = 'https://127.0.0.1:1/v1';
    const services = {
      engine: {
        ...{ model: '/m', auth_token_file: engineToken },
        listeners: { tls: { key: engineKey } },
      },
      router: {
        ...{ auth_token_file: routerToken, tls: { port: 8943, key: routerKey } },
        backends: { a: { url, tls: { key: aKey }, fallback_urls: [{ url, tls: { key: bKey } }] } },
      },
    };
    const { instanceFile } = operator.site.paths;
    writeFileSync(instanceFile, JSON.stringify({ instance: { name: 'home' }, services }));
    expect(await permissions()).toMatchObject({ level: 'ok' });
    for (const file of files) {
      writeFileSync(file, 'secret');
      // Whatever the umask leaves of a mode that a file is made with.
      chmodSync(file, 0o604);
    }
    expect(await permissions()).toMatchObject({
      level: 'fail',
      detail: `others may read ${files.join(', ')}`,
    });
  });
});
