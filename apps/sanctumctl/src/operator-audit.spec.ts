import { execFileSync, fork } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readLines } from '@sanctum/audit';
import { Operator } from './testing/operator.js';

const AUDITOR = fileURLToPath(new URL('./testing/auditing-operator.fixture.ts', import.meta.url));
const HOOKS = fileURLToPath(
  new URL('../../../libs/testing/src/source-register.mjs', import.meta.url),
);
const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];
const DECISIONS = 15;

let operator: Operator;
beforeEach(() => {
  operator = new Operator();
});
afterEach(() => operator.remove());

async function decide(name: string): Promise<unknown> {
  const execArgv = ['--conditions=@sanctum/source', '--no-warnings', `--import=${HOOKS}`];
  const args = [operator.folder, name, String(DECISIONS)];
  const [code] = (await once(fork(AUDITOR, args, { execArgv }), 'exit')) as [unknown];
  return code;
}

describe('commands of the operator that run at once', () => {
  it('write one chain, each decision once, and it verifies', async () => {
    expect(await Promise.all(NAMES.map(decide))).toEqual(NAMES.map(() => 0));
    expect(await operator.run('audit', 'verify')).toMatch(/✓ sanctumctl {2}90 lines, /);
    expect(operator.codes).toEqual([]);
    const seen: unknown[] = [];
    for await (const { data } of readLines(join(operator.site.paths.audit, 'sanctumctl'))) {
      seen.push(`${String(data['name'])}${String(data['index'])}`);
    }
    expect(new Set(seen).size).toBe(NAMES.length * DECISIONS);
  });
});

describe('what is decided of certificates', () => {
  interface Line {
    readonly event: string;
    readonly data: { readonly identity?: string; readonly serial?: string };
  }

  async function decided(...args: readonly string[]): Promise<readonly Line[]> {
    const before = await lines();
    await operator.run('certs', ...args);
    return (await lines()).slice(before.length).map(({ event, data }) => ({ event, data }));
  }

  async function lines(): Promise<readonly Line[]> {
    const found: Line[] = [];
    for await (const line of readLines(join(operator.site.paths.audit, 'sanctumctl'))) {
      found.push(line);
    }
    return found;
  }

  const serialIn = (file: string): string => serialsIn(file)[0] ?? '';
  const serialsIn = (file: string): readonly string[] =>
    (readFileSync(file, 'utf8').match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? []).map(
      (pem) => new X509Certificate(pem).serialNumber,
    );

  it('is written down, with whose it is and its number', async () => {
    await operator.run('certs', 'init');
    const { paths } = operator.site;
    const { cert: engine } = paths.client('engine');
    const { cert: canary } = paths.client('canary');

    const issued = await decided('issue', 'engine');
    const identity = 'engine';
    expect(issued).toEqual([
      { event: 'certificate_issued', data: { identity, serial: serialIn(engine) } },
    ]);
    const renewed = await decided('renew', '--identity', 'engine', '--identity', 'server');
    expect(renewed).toEqual([
      { event: 'certificate_renewed', data: { identity, serial: serialIn(engine) } },
      {
        event: 'certificate_renewed',
        data: { identity: 'server', serial: serialIn(paths.server.cert) },
      },
    ]);
    expect(await decided('renew', '--due')).toEqual([]);

    const serial = serialIn(canary);
    expect(await decided('revoke', 'canary')).toEqual([
      { event: 'certificate_revoked', data: { identity: 'canary', serial } },
    ]);
    const replaced = await decided('revoke', 'drift', '--replace');
    expect(replaced.map(({ event }) => event)).toEqual([
      'certificate_renewed',
      'certificate_revoked',
    ]);
    expect(replaced[0]?.data.serial).toBe(serialIn(paths.client('drift').cert));

    const [key, request, out] = ['key', 'csr', 'crt'].map((end) => join(operator.folder, end));
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    const openssl = ['req', '-new', ...curve, '-subj', '/CN=x', '-keyout', key, '-out', request];
    execFileSync('openssl', openssl.map(String), { stdio: 'ignore' });
    const signed = await decided('sign', `${request}`, '--identity', 'guardian', '--out', `${out}`);
    expect(signed).toEqual([
      {
        event: 'certificate_signed',
        data: { identity: 'guardian', serial: serialIn(`${out}`) },
      },
    ]);

    const started = await decided('rollover', 'start');
    const trusted = serialsIn(paths.ca.cert);
    expect(trusted).toHaveLength(2);
    expect(started).toContainEqual({ event: 'authority_rollover_start', data: { trusted } });
    expect(started.filter(({ event }) => event === 'certificate_renewed')).toHaveLength(9);
    expect(await decided('rollover', 'finish')).toEqual([
      { event: 'authority_rollover_finish', data: { trusted: serialsIn(paths.ca.cert) } },
    ]);
    expect(await operator.run('audit', 'verify')).toMatch(/✓ sanctumctl {2}/);
    expect(JSON.stringify(await lines())).not.toContain('-----');
  });
});
