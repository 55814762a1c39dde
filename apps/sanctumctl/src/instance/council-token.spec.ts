import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHome, parseInstance, type HomePaths, type Instance } from '@sanctum/catalog';
import { ensureCouncilToken, takesBearer } from './council-token.js';
import { retirementSteps } from './retire-bearer.js';

let folder = '';
let paths: HomePaths;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sanctumctl-token-'));
  paths = createHome(folder);
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const RETIRED = { model: '/m', listeners: { plain: { enabled: false } } };

function instance(services: object): Instance {
  const text = JSON.stringify({ instance: { name: 'home' }, services });
  return parseInstance(text, paths.instanceFile);
}

describe('ensureCouncilToken', () => {
  it('makes one, private, and keeps it', () => {
    const token = ensureCouncilToken(paths, instance({ engine: { model: '/m' } }));
    expect(token).toMatch(/^[0-9a-f]{64}$/);
    expect(ensureCouncilToken(paths, instance({ engine: { model: '/m' } }))).toBe(token);
    expect(statSync(paths.councilToken).mode & 0o777).toBe(0o600);
  });

  it('refuses a token that is none', () => {
    writeFileSync(paths.councilToken, 'secret', { mode: 0o600 });
    const takes = instance({ engine: { model: '/m' } });
    expect(() => ensureCouncilToken(paths, takes)).toThrow(/64 hexadecimal digits/);
  });

  it.each([
    ['the plain listener of the engine is off', { engine: RETIRED }],
    ['the engine is off', { engine: { model: '/m', enabled: false } }],
    ['there is no engine', { nats: {}, router: {} }],
    ['the router takes another', { engine: RETIRED, router: { auth_token_file: '/other' } }],
  ])('makes none where %s', (_, services) => {
    expect(ensureCouncilToken(paths, instance(services))).toBeUndefined();
    expect(existsSync(paths.councilToken)).toBe(false);
  });

  it('makes one for a router that takes it, and whose engine takes none', () => {
    const router = { auth_token_file: 'secrets/council-mlx.token' };
    const both = instance({ engine: RETIRED, router });
    expect(ensureCouncilToken(paths, both)).toMatch(/^[0-9a-f]{64}$/);
    expect(takesBearer(both)).toBe(true);
  });
});

describe('retirementSteps', () => {
  const council = { url: 'http://127.0.0.1:1337/v1', api_key_env: 'COUNCIL_API_KEY' };

  it('name every setting that takes, sends or needs the token, and every file of one', () => {
    const router = {
      auth_token_file: 'secrets/router.token',
      backends: { council: { ...council, fallback_urls: ['http://localhost:1337/v1'] } },
    };
    const engine = { model: '/m', auth_token_file: 'secrets/engine.token' };
    const files = ['engine', 'router'].map((name) => join(paths.secrets, `${name}.token`));
    files.forEach((file) => writeFileSync(file, 'x'));
    const at = `in ${paths.instanceFile}`;
    const backend = 'services.router.backends.council';
    expect(retirementSteps(paths, instance({ engine, router }))).toEqual([
      `${at} point ${backend} (${council.url}) at the mTLS listener of the engine`,
      `${at} point ${backend}.fallback_urls[0] (http://localhost:1337/v1) at the mTLS listener of the engine`,
      `${at} take out api_key_env of ${backend}`,
      `${at} set services.engine.listeners.plain.enabled to false`,
      `${at} take out services.engine.auth_token_file`,
      `${at} take out services.router.auth_token_file`,
      'run sanctumctl down',
      ...files.map((file) => `remove ${file}`),
      'run sanctumctl up',
    ]);
  });

  it('leave out a key of that name that the operator keeps', () => {
    writeFileSync(join(paths.secrets, 'COUNCIL_API_KEY'), 'mine', { mode: 0o600 });
    const router = { backends: { far: { ...council, url: 'https://far.lan:1338/v1' } } };
    const steps = retirementSteps(paths, instance({ engine: { model: '/m' }, router }));
    expect(steps.join()).not.toContain('far');
  });

  it('end it: nothing takes a token after them', () => {
    expect(takesBearer(instance({ engine: { model: '/m' }, router: {} }))).toBe(true);
    expect(takesBearer(instance({ engine: RETIRED, router: {} }))).toBe(false);
  });
});
