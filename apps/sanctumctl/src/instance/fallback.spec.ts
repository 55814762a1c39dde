import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { portsOf, type Instance } from '@sanctum/catalog';
import type { Environment } from '../env.js';
import { assertFallbackConfigured, ensureFallback, findFallback } from './fallback.js';
import { ensureInstance } from './prepare.js';
import { serviceSpecs } from './service-specs.js';
import { locateSite, type Site } from './site.js';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url)).replace(/\/$/, '');

let folder = '';
let site: Site;
let instance: Instance;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sanctumctl-fallback-'));
  site = locateSite(environment(), join(folder, 'home'));
  ({ instance } = ensureInstance(site, { withFallback: true }));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function environment(): Environment {
  return {
    checkout: ROOT,
    home: undefined,
    natsServer: undefined,
    path: join(folder, 'bin'),
    cacheFolder: join(folder, 'cache'),
    temporaryFolder: folder,
    interactive: false,
    inherited: {},
    authDisabled: false,
  };
}

/** A program of that name which says what a Python of that version says. */
function pythonThatSays(name: string, version: string): void {
  const bin = join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, name), `#!/bin/sh\n[ "$1" = -c ] && echo ${version} && exit 0\nexit 9\n`);
  chmodSync(join(bin, name), 0o755);
}

describe('the Python fallback', () => {
  it('is the last URL of an example written for it', () => {
    expect(portsOf(instance).fallback).toBe(8901);
    expect(instance.services.router?.backends['council-secure']?.fallback_urls).toEqual([
      'http://127.0.0.1:8901/v1',
    ]);
    expect(() => assertFallbackConfigured(instance)).not.toThrow();
  });

  it('is refused where nothing would ask it', () => {
    const { fallback, ...services } = instance.services;
    expect(() => assertFallbackConfigured({ ...instance, services })).toThrow(
      /no services.fallback.*fallback_urls/s,
    );
    const moved = { ...services, ...(fallback && { fallback: { ...fallback, port: 9_999 } }) };
    expect(() => assertFallbackConfigured({ ...instance, services: moved })).toThrow(
      /No backend .* has port 9999 as its last URL/,
    );
  });

  it.each([
    ['none', undefined, /none is on PATH/],
    ['an old one', '3 9', /needs Python 3\.11 or newer with venv \(tried .*python3\)/],
  ])('needs a Python: %s', async (_name, version, message) => {
    if (version !== undefined) pythonThatSays('python3', version);
    await expect(ensureFallback(site, instance)).rejects.toMatchObject({
      code: 'prerequisite_missing',
      message: expect.stringMatching(message) as unknown,
    });
  });

  it('says when its environment cannot be made', async () => {
    pythonThatSays('python3', '3 9');
    pythonThatSays('python3.12', '3 12');
    await expect(ensureFallback(site, instance)).rejects.toThrow(/could not be made \(-m venv/);
    expect(findFallback(site)).toBeUndefined();
  });

  it('has one environment, also for two homes that ask for it at once', async () => {
    pythonThatSays('python3', '3 12');
    const python = join(folder, 'bin', 'python3');
    // Its `-m venv` makes another such Python, once; whatever else it is to do goes well.
    const venv = 'mkdir -p "$3/bin" && cp "$0" "$3/bin/python3"';
    const script = readFileSync(python, 'utf8').replace(
      'exit 9',
      `[ "$2" != venv ] || { echo made >> "${folder}/made" && ${venv}; }`,
    );
    writeFileSync(python, script);
    const other = locateSite(environment(), join(folder, 'other'));
    const [one, two] = await Promise.all(
      [site, other].map((home) => ensureFallback(home, instance)),
    );
    expect(one).toEqual(two);
    expect(one).toEqual(findFallback(site));
    expect(readFileSync(join(folder, 'made'), 'utf8')).toBe('made\n');
  });

  it('runs with its caps, after nothing and before nothing', () => {
    const options = {
      instance,
      paths: site.paths,
      node: 'node',
      bundles: { engine: 'e', router: 'r' },
      natsServer: 'n',
      inherited: {},
      councilToken: 't',
    };
    const names = (specs: ReturnType<typeof serviceSpecs>) => specs.map(({ name }) => name);
    expect(names(serviceSpecs(options))).toEqual(['nats', 'engine', 'router']);
    const specs = serviceSpecs({ ...options, fallback: { python: '/py', script: '/serve.py' } });
    expect(names(specs)).toEqual(['nats', 'engine', 'mlx-py-fallback', 'router']);
    expect(specs[2]).toMatchObject({
      command: [
        '/py',
        '/serve.py',
        ...['--model', join(ROOT, 'deploy/models/padawan'), '--model-name', 'padawan'],
        ...['--host', '127.0.0.1', '--port', '8901', '--cache-limit-mb', '1024'],
      ],
      requires: [],
      readiness: { url: 'http://127.0.0.1:8901/health' },
    });
  });
});
