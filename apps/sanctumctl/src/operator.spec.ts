import { generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AuditLog } from '@sanctum/audit';
import { createHome, loadInstance } from '@sanctum/catalog';
import { describeCertificate } from '@sanctum/identity';
import { keyIdOf, TrustState } from '@sanctum/manifest';
import type { ServiceSpec } from '@sanctum/supervision';
import { EXIT } from './exit-codes.js';
import { auditOperator } from './commands/audit.js';
import { examine } from './commands/doctor.js';
import { secretsSet } from './commands/secrets.js';
import { checkNode } from './doctor/machine.js';
import { withSecrets } from './instance/service-secrets.js';
import type { Site } from './instance/site.js';
import { Terminal } from './terminal/terminal.js';
import { CHECKOUT, Operator } from './testing/operator.js';

let operator: Operator;
let folder = '';
beforeEach(() => {
  operator = new Operator();
  ({ folder } = operator);
});
afterEach(() => operator.remove());

const site = (): Site => operator.site;
const run = (...args: readonly string[]): Promise<string> => operator.run(...args);

describe('certs', () => {
  it('makes, lists, replaces and verifies', async () => {
    expect(await run('certs', 'init')).toMatch(/^made {2}.*ca\.crt$/m);
    expect(await run('certs', 'init')).not.toContain('made');
    const before = readFileSync(site().paths.client('engine').cert, 'utf8');
    expect(await run('certs', 'issue', 'engine', '--days', '2')).toContain(
      'engine.crt, valid until',
    );
    expect(readFileSync(site().paths.client('engine').cert, 'utf8')).not.toBe(before);
    await run('certs', 'issue', 'server', '--address', 'mini.lan');
    const list = JSON.parse(await run('certs', 'list', '--json')) as { dnsNames: string[] }[];
    expect(list[1]?.dnsNames).toContain('mini.lan');
    expect(await run('certs', 'list')).toMatch(/client +engine +\S+ +1 /);
    await run('certs', 'verify');
    expect(operator.codes).toEqual([]);
  });

  it('gives the server every name that was bound, asked for, or there before', async () => {
    await run('certs', 'init');
    const { instanceFile, server } = site().paths;
    const text = readFileSync(instanceFile, 'utf8');
    writeFileSync(instanceFile, text.replace('port: 4222', 'port: 4222\n    host: 192.0.2.1'));
    const namesOf = () => {
      const { dnsNames, addresses } = describeCertificate(
        readFileSync(server.cert, 'utf8'),
        server.cert,
      );
      return [...dnsNames, ...addresses];
    };
    await run('certs', 'issue', 'server', '--address', 'mini.lan');
    expect(namesOf()).toEqual(expect.arrayContaining(['192.0.2.1', 'mini.lan']));
    await run('certs', 'issue', 'server', '--address', 'maxi.lan');
    await run('certs', 'renew', '--identity', 'server');
    const all = ['localhost', 'maxi.lan', 'mini.lan', '127.0.0.1', '::1', '192.0.2.1'];
    expect(namesOf().sort()).toEqual(all.sort());
  });

  it('says which certificate is unusable, and fails', async () => {
    await run('certs', 'init');
    const { canary, drift } = {
      canary: site().paths.client('canary'),
      drift: site().paths.client('drift'),
    };
    cpSync(canary.key, drift.key);
    expect(await run('certs', 'verify')).toMatch(
      /✗ .*drift\.crt does not belong to its private key/,
    );
    expect(operator.codes).toEqual([EXIT.failed]);
  });

  it('refuses a stranger', async () => {
    await run('certs', 'init');
    await expect(run('certs', 'issue', 'nobody')).rejects.toThrow(/server or one of .*guardian/);
  });
});

describe('model', () => {
  it('lists what can be served, and whether it is trusted', async () => {
    await run('certs', 'init');
    const rows = JSON.parse(await run('model', 'list', '--json')) as unknown;
    expect(rows).toEqual([
      {
        name: 'padawan',
        folder: join(CHECKOUT, 'deploy/models/padawan'),
        served: true,
        signed: true,
      },
    ]);
  });

  it('goes from key to proof, and names what was changed', async () => {
    const model = join(folder, 'small');
    cpSync(join(CHECKOUT, 'deploy/models/padawan'), model, { recursive: true });
    const key = join(folder, 'mine');
    await run('model', 'keygen', key);
    expect(statSync(`${key}.key`).mode & 0o777).toBe(0o600);
    await expect(run('model', 'keygen', key)).rejects.toThrow(/never overwritten/);
    await run('model', 'manifest', model, '--key', `${key}.key`, '--model-version', '3');
    await run('model', 'sign', `${model}.manifest.sha256`, '--key', `${key}.key`);
    expect(readFileSync(`${model}.manifest.sha256`, 'utf8')).toContain('# sanctum-version: 3');
    expect(await run('model', 'verify', model, '--pubkey', `${key}.pub`)).toMatch(/^✓ .* digest /);
    const weights = join(model, 'model.safetensors');
    const bytes = readFileSync(weights);
    bytes[100_000] = (bytes[100_000] ?? 0) ^ 1;
    writeFileSync(weights, bytes);
    await expect(run('model', 'verify', model, '--pubkey', `${key}.pub`)).rejects.toThrow(
      /model\.safetensors does not have the hash/,
    );
  });
});

describe('model trust', () => {
  let model = '';
  let key = '';

  beforeEach(async () => {
    model = join(folder, 'small');
    mkdirSync(model);
    writeFileSync(join(model, 'config.json'), '{}');
    key = join(folder, 'mine');
    await run('model', 'keygen', key);
  });

  async function seal(version: number): Promise<void> {
    const versioned = ['--model-version', String(version), '--key', `${key}.key`];
    await run('model', 'manifest', model, ...versioned);
    await run('model', 'sign', `${model}.manifest.sha256`, '--key', `${key}.key`);
  }

  const verify = () => run('model', 'verify', model, '--pubkey', `${key}.pub`);

  it('refuses an older version until an exception is signed, and shows what was served', async () => {
    writeFileSync(site().paths.instanceFile, 'instance: {name: test}\nservices: {}\n');
    createHome(folder);
    TrustState.open(site().paths).recordServed({
      ...{ model: 'small', header: { version: 2 }, digest: '0'.repeat(64), source: 'm' },
      keyId: keyIdOf(readFileSync(`${key}.pub`)),
    });
    await seal(1);
    await expect(verify()).rejects.toThrow(/is version 1 of small.*has served version 2/);
    const manifest = `${model}.manifest.sha256`;
    const reason = ['--reason', 'version 2 regressed', '--pubkey', `${key}.pub`];
    await run('model', 'keygen', join(folder, 'stranger'));
    await expect(
      run('model', 'rollback', manifest, '--key', join(folder, 'stranger.key'), ...reason),
    ).rejects.toThrow(/which is not trusted here/);
    await run('model', 'rollback', manifest, '--key', `${key}.key`, ...reason);
    expect(await verify()).toMatch(/! .*version 2 regressed/);
    expect(await run('model', 'trust')).toMatch(/^small +\w{16} +2 +1$/m);
    rmSync(site().paths.manifestTrustFile);
    await expect(verify()).rejects.toThrow(/manifest-trust\.json is gone/);
    await run('model', 'trust', '--reset');
    expect(await verify()).not.toContain('!');
  });

  it('archives a key, and refuses what it signed', async () => {
    createHome(folder);
    await seal(1);
    expect(await run('model', 'revoke', `${key}.pub`)).toMatch(
      /revoked +\w{16} +.*\.revoked-\d{4}/,
    );
    await run('model', 'keygen', join(folder, 'next'));
    await expect(
      run('model', 'verify', model, '--pubkey', join(folder, 'next.pub')),
    ).rejects.toThrow(/which was revoked on/);
  });

  it('goes to a Model Signing bundle and back', async () => {
    createHome(folder);
    await seal(1);
    const pair = generateKeyPairSync('ec', {
      namedCurve: 'prime256v1',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    const pem = join(folder, 'oms.pem');
    writeFileSync(pem, pair.privateKey, { mode: 0o600 });
    writeFileSync(`${pem}.pub`, pair.publicKey);
    await run('model', 'export', model, '--key', pem, '--pubkey', `${key}.pub`);
    rmSync(`${model}.manifest.sha256`);
    const keys = ['--bundle-key', `${pem}.pub`, '--key', `${key}.key`];
    await run('model', 'import', `${model}.oms.json`, model, ...keys);
    expect(await verify()).toMatch(/1 files, key/);
    writeFileSync(join(model, 'config.json'), '{"x":1}');
    await expect(run('model', 'import', `${model}.oms.json`, model, ...keys)).rejects.toThrow(
      /config\.json does not have the hash that .*oms\.json lists/,
    );
  });
});

describe('audit', () => {
  it('shows, finds and verifies, and names the line that was changed', async () => {
    const router = await AuditLog.open({ dir: join(folder, 'audit', 'router') });
    await router.decide('started', { version: '1' });
    await router.decide('request', { identity: 'canary', model: 'coder' });
    await router.close();
    await auditOperator(site(), 'model_trust_reset', {});
    await auditOperator(site(), 'rollback_permitted', { model: 'small' });
    expect(await run('audit', 'tail', '-n', '2')).toMatch(
      /^\S+Z {2}sanctumctl {2}model_trust_reset\n\S+Z {2}sanctumctl {2}rollback_permitted {2}model=small\n$/,
    );
    expect(await run('audit', 'grep', 'canary')).toMatch(
      /router {2}request {2}identity=canary model=coder/,
    );
    expect(operator.codes).toEqual([]);
    await run('audit', 'grep', 'nobody', '--service', 'router');
    expect(operator.codes).toEqual([EXIT.failed]);
    operator.codes = [];
    expect(await run('audit', 'verify')).toMatch(/✓ router {2}2 lines, not anchored/);
    expect(operator.codes).toEqual([]);
    const file = join(folder, 'audit', 'router', '000000000001.jsonl');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"version":"1"', '"version":"2"'));
    expect(await run('audit', 'verify')).toMatch(/✗ router {2}\S+0001\.jsonl:2 {2}does not follow/);
    expect(operator.codes).toEqual([EXIT.failed]);
    const findings = await examine(site(), false);
    expect(findings.find(({ check }) => check === 'audit')).toMatchObject({
      ...{ level: 'fail', detail: expect.stringContaining('0001.jsonl:2 does not follow') },
    });
    await expect(run('audit', 'tail', 'nobody')).rejects.toThrow(/there are: router, sanctumctl/);
  });
});

describe('secrets', () => {
  it('are written from standard input, 0600, and never shown', async () => {
    writeFileSync(
      join(folder, 'instance.yaml'),
      JSON.stringify({
        instance: { name: 'test' },
        services: {
          router: {
            backends: { cloud: { url: 'http://127.0.0.1:1/v1', api_key_env: 'CLOUD_KEY' } },
          },
        },
      }),
    );
    const terminal = new Terminal({ write: () => undefined });
    const input = Readable.from(['hunter2', 'hunter2\n']);
    await secretsSet(site(), terminal, { name: 'CLOUD_KEY', input });
    const file = join(folder, 'secrets', 'CLOUD_KEY');
    expect(readFileSync(file, 'utf8')).toBe('hunter2hunter2\n');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await run('secrets', 'list')).toContain(`CLOUD_KEY  yes                     ${file}`);
    expect(await run('audit', 'tail')).toMatch(/secret_written {2}name=CLOUD_KEY/);
    const specs = ['router', 'engine'].map((name) => ({
      name,
      env: { CLOUD_KEY: 'old', OTEL_EXPORTER_OTLP_HEADERS: 'api-key=x', A: 'b' },
    }));
    const instance = loadInstance(join(folder, 'instance.yaml'));
    const given = withSecrets(specs as unknown as ServiceSpec[], instance, site().paths);
    expect(given.map(({ env }) => env)).toEqual([
      { CLOUD_KEY: 'hunter2hunter2', OTEL_EXPORTER_OTLP_HEADERS: 'api-key=x', A: 'b' },
      { A: 'b' },
    ]);
    chmodSync(file, 0o644);
    expect(await run('secrets', 'list')).toContain('chmod 600');
    expect(() => withSecrets([], instance, site().paths)).toThrow(/chmod 600/);
    const findings = await examine(site(), true);
    expect(findings.find(({ check }) => check === 'permissions')?.detail).toContain(file);
    await run('secrets', 'remove', 'CLOUD_KEY');
    expect(await run('secrets', 'list')).toMatch(/CLOUD_KEY +yes +nowhere/);
    await expect(run('secrets', 'remove', '../CLOUD_KEY')).rejects.toThrow(/is no name/);
  });
});

describe('doctor', () => {
  async function failures(): Promise<Readonly<Record<string, string>>> {
    const findings = await examine(site(), true);
    return Object.fromEntries(
      findings
        .filter(({ level, check }) => level === 'fail' && check !== 'build' && check !== 'ports')
        .map(({ check, detail }) => [check, detail]),
    );
  }

  it('finds nothing wrong with a prepared home', async () => {
    await run('certs', 'init');
    expect(await failures()).toEqual({});
  });

  it('says what is missing before the first start', async () => {
    expect(await failures()).toEqual({ instance: expect.stringContaining('is missing') });
  });

  it('finds open keys, broken certificates and an untrusted model', async () => {
    await run('certs', 'init');
    const { paths } = site();
    chmodSync(paths.ca.key, 0o644);
    writeFileSync(paths.client('engine').cert, readFileSync(paths.client('canary').cert));
    const key = join(folder, 'stranger');
    await run('model', 'keygen', key);
    const text = readFileSync(paths.instanceFile, 'utf8');
    writeFileSync(
      paths.instanceFile,
      text.replace(/public_keys: .*/, `public_keys: [${JSON.stringify(`${key}.pub`)}]`),
    );
    expect(await failures()).toEqual({
      permissions: expect.stringContaining('ca.key'),
      certificates: expect.stringContaining('engine.crt'),
      manifest: expect.stringContaining('was not made by any trusted key'),
    });
  });

  it('shows the problem of an invalid instance.yaml with its line', async () => {
    await run('certs', 'init');
    const { instanceFile } = site().paths;
    writeFileSync(
      instanceFile,
      readFileSync(instanceFile, 'utf8').replace('model_name', 'modelname'),
    );
    const found = await failures();
    expect(found['instance']).toMatch(/line \d+: services\.engine\.modelname: unknown key/);
  });

  it('prints advice, JSON, and sets the exit code', async () => {
    expect(await run('doctor', '--quick')).toMatch(/✗ instance .*\n.*→ Run `sanctumctl up`/);
    const report = JSON.parse(await run('doctor', '--quick', '--json')) as { ok: boolean };
    expect(report.ok).toBe(false);
    expect(operator.codes).toEqual([EXIT.failed, EXIT.failed]);
  });

  it.each([
    ['v20.19.0', 'ok'],
    ['v20.18.9', 'fail'],
    ['v18.20.0', 'fail'],
    ['v22.1.0', 'ok'],
  ])('judges Node %s: %s', (version, level) => {
    expect(checkNode(version).level).toBe(level);
  });
});

describe('status', () => {
  it('is a report even where nothing is set up', async () => {
    expect(JSON.parse(await run('status', '--json'))).toEqual({
      home: folder,
      supervisor: null,
      services: [],
      model: null,
    });
    expect(operator.codes).toEqual([]);
    expect(await run('status')).toContain('Nothing is set up here yet');
    expect(operator.codes).toEqual([EXIT.failed]);
  });

  it('lists what is stopped', async () => {
    await run('certs', 'init');
    expect(await run('status')).toMatch(/○ {2}router +stopped +- +0 +http:\/\/127\.0\.0\.1:8900/);
  });
});

describe('logs', () => {
  it('shows the last lines of one service or of all', async () => {
    await run('certs', 'init');
    const { logs } = site().paths;
    writeFileSync(join(logs, 'nats.log'), 'one\ntwo\n');
    writeFileSync(join(logs, 'engine.log'), 'three\n');
    expect(await run('logs', 'nats', '-n', '1')).toBe('two\n');
    expect((await run('logs')).split('\n').sort()).toEqual([
      '',
      'engine | three',
      'nats   | one',
      'nats   | two',
    ]);
    await expect(run('logs', '../../etc/passwd')).rejects.toThrow(/there are: engine, nats/);
  });
});

describe('the command line', () => {
  it.each([
    [['nonsense'], /unknown command/],
    [['up', '--ports', 'some'], /Allowed choices are configured, auto/],
    [['logs', '-n', '-1'], /whole number/],
    [['model', 'manifest', 'x', '--expires', 'soon'], /a date such as/],
  ])('refuses %j', async (args, message) => {
    await expect(run(...args)).rejects.toThrow(message);
  });
});
