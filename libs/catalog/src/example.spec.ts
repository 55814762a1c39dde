import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { exampleInstance, writeExampleInstance } from './example.js';
import { createHome, homePaths } from './home-paths.js';
import { loadInstance, parseInstance } from './load-instance.js';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sanctum-example-'));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

const names = { name: 'home', timezone: 'Europe/Berlin', modelName: 'padawan' };

describe('writeExampleInstance', () => {
  it('writes what the loader reads, with the model relative to the home', () => {
    const home = join(root, '.sanctum');
    const model = join(root, 'deploy/models/padawan');
    const key = join(root, 'deploy/trust/manifest-pubkey.ed25519');
    const written = writeExampleInstance({ ...names, home, model, manifestPublicKeys: [key] });
    const file = homePaths(home).instanceFile;
    expect(loadInstance(file)).toEqual(written);
    expect(written.services.engine).toMatchObject({ model, manifest: { public_keys: [key] } });
    expect(readFileSync(file, 'utf8')).toContain('model: "../deploy/models/padawan"');
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('names only services that it starts', () => {
    const { services } = writeExampleInstance({ ...names, home: root, model: '/m' });
    expect(Object.keys(services)).toEqual(['nats', 'engine', 'router']);
    expect(Object.keys(services.router?.backends ?? {})).toEqual(['council-secure']);
    expect(services.router?.backends['council-secure']?.fallback_urls).toEqual([]);
  });

  it('stays valid when every commented setting is switched on', () => {
    const text = exampleInstance({ ...names, home: root, model: '/m' });
    const settings = /^(\s*)# ((?:- )?[\w-]+: ?.*|\s{2}\w+: .*)$/;
    const switched = text
      .split('\n')
      .map((line) => settings.exec(line)?.slice(1).join('') ?? line)
      .join('\n');
    expect(switched).not.toContain('# limits');
    const file = join(root, 'all.yaml');
    expect(() => parseInstance(switched, file)).not.toThrow();
  });
});

describe('createHome', () => {
  it('makes private folders, also of folders that were open', () => {
    createHome(root);
    const paths = homePaths(root);
    for (const folder of [paths.secrets, paths.state, paths.clients, paths.jetstream, root]) {
      expect(existsSync(folder)).toBe(true);
      expect(statSync(folder).mode & 0o777).toBe(0o700);
    }
  });
});
