import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  CertificateHolder,
  describeCertificate,
  listCertificates,
  pkiFiles,
  signWithNextAuthority,
  TransportCounts,
  trustNextAuthority,
  watchFiles,
} from '@sanctum/identity';
import { EXIT } from './exit-codes.js';
import { startRenewalJob } from './instance/renewal-job.js';
import type { Site } from './instance/site.js';
import { Checkout } from './testing/checkout.js';
import { Operator } from './testing/operator.js';

let operator: Operator;
beforeEach(async () => {
  operator = new Operator();
  await run('certs', 'init');
});
afterEach(() => operator.remove());

const site = (): Site => operator.site;
const run = (...args: readonly string[]): Promise<string> => operator.run(...args);
const serialOf = (path: string) => describeCertificate(readFileSync(path, 'utf8'), path).serial;

describe('certs renew', () => {
  it('renews all, one, or what is due', async () => {
    const engine = site().paths.client('engine').cert;
    const first = serialOf(engine);
    expect(await run('certs', 'renew', '--due')).not.toContain('renewed');
    expect(serialOf(engine)).toBe(first);
    expect(await run('certs', 'renew', '--identity', 'engine')).toMatch(
      /^renewed {2}\S+engine\.crt$/m,
    );
    expect(operator.output).not.toContain('canary');
    expect((await run('certs', 'renew', '--all')).match(/^renewed/gm)).toHaveLength(10);
    const engines = (await listCertificates(site().paths)).filter(
      ({ identity }) => identity?.name === 'engine',
    );
    expect(engines.map(({ identity }) => identity?.generation)).toEqual([3]);
    await run('certs', 'verify');
    expect(operator.codes).toEqual([]);
    await expect(run('certs', 'renew')).rejects.toThrow(/--all, --identity or --due/);
    await expect(run('certs', 'renew', '--identity', 'nobody')).rejects.toThrow(/no identity/);
  });

  it('is done by a job, again and again, and a failure ends nothing', async () => {
    const said: string[] = [];
    let runs = 0;
    await new Promise<void>((resolve) => {
      const job = startRenewalJob({
        intervalMs: 1,
        say: (line) => said.push(line),
        renew: () => {
          runs += 1;
          if (runs === 1) return Promise.reject(new Error('disk full'));
          void job.stop().then(resolve);
          return Promise.resolve();
        },
      });
    });
    expect([runs, said]).toEqual([2, ['certs renew --due failed: disk full']]);
  });
});

describe('certs init', () => {
  it('says that NATS was not told where there is none, and goes on', async () => {
    const { instanceFile, natsConfig } = site().paths;
    const canary = site().paths.client('canary').cert;
    const text = readFileSync(instanceFile, 'utf8');
    writeFileSync(instanceFile, text.replace('port: 4222', 'server: /nowhere/nats'));
    writeFileSync(natsConfig, '');
    rmSync(canary);
    expect(await run('certs', 'init')).toMatch(/NATS was not told .*\/nowhere\/nats[^]*^made/m);
    expect(existsSync(canary)).toBe(true);
  });
});

describe('certs revoke', () => {
  it('takes back an identity or a serial, sets the files aside, and init makes new ones', async () => {
    const { cert, key } = site().paths.client('canary');
    const serial = serialOf(cert);
    expect(await run('certs', 'revoke', 'canary')).toContain(`revoked  canary ${serial}`);
    expect(existsSync(cert) || existsSync(key)).toBe(false);
    const archived = readdirSync(site().paths.clients).filter((name) => name.includes('.revoked-'));
    expect(archived.map((name) => name.replace(/\d{4}-\d\d-\d\d$/, 'DATE'))).toEqual([
      'canary.crt.revoked-DATE',
      'canary.key.revoked-DATE',
    ]);
    await run('certs', 'init');
    const next = serialOf(cert);
    expect(next).not.toBe(serial);
    await run('certs', 'revoke', next.toLowerCase());
    expect(existsSync(cert)).toBe(false);
    await expect(run('certs', 'revoke', 'canary')).rejects.toThrow(/No valid certificate goes by/);
  });

  it('finds a certificate that was put back, and replaces it', async () => {
    const { paths } = site();
    await run('certs', 'revoke', 'canary');
    const [cert = '', key = ''] = readdirSync(paths.clients).filter((name) =>
      name.includes('.revoked-'),
    );
    renameSync(join(paths.clients, cert), paths.client('canary').cert);
    renameSync(join(paths.clients, key), paths.client('canary').key);
    expect(await run('certs', 'verify')).toMatch(/✗ .*canary\.crt was revoked/);
    expect(operator.codes).toEqual([EXIT.failed]);
    expect(await run('certs', 'init')).toMatch(/^made {2}.*canary\.crt$/m);
  });
});

describe('certs rollover', () => {
  it('changes the CA in two steps, and keeps the old key out of the way', async () => {
    const { paths } = site();
    const old = readFileSync(paths.ca.cert, 'utf8');
    expect(await run('certs', 'rollover', 'status')).toContain('No rollover');
    expect(await run('certs', 'rollover', 'start')).toContain('10 certificates are reissued');
    expect(readFileSync(paths.ca.cert, 'utf8').match(/BEGIN CERT/g)).toHaveLength(2);
    expect(await run('certs', 'rollover', 'status')).toContain('both are trusted');
    await run('certs', 'verify');
    expect(await run('certs', 'rollover', 'start')).not.toContain('reissued');
    expect(await run('certs', 'rollover', 'finish')).toMatch(/ca\.key\.revoked-\d{4}-\d\d-\d\d/);
    const now = readFileSync(paths.ca.cert, 'utf8');
    expect(now.match(/BEGIN CERT/g)).toHaveLength(1);
    expect(now).not.toBe(old);
    const keys = readdirSync(paths.certs).filter((name) => name.startsWith('ca.key'));
    for (const name of keys) expect(statSync(join(paths.certs, name)).mode & 0o777).toBe(0o600);
    await run('certs', 'verify');
    expect(operator.codes).toEqual([]);
    await expect(run('certs', 'rollover', 'finish')).rejects.toThrow(/no rollover to finish/);
  });

  it('goes on where it was: with half a CA, and with one that signs', async () => {
    const { paths } = site();
    const { nextCa } = pkiFiles(paths);
    cpSync(paths.ca.key, nextCa.key);
    await run('certs', 'verify');
    expect(operator.codes).toEqual([]);
    await trustNextAuthority(paths, 'home');
    const next = readFileSync(nextCa.cert, 'utf8');
    await signWithNextAuthority(paths);
    expect(await run('certs', 'rollover', 'status')).toContain('still of the old CA: server');
    expect(await run('certs', 'rollover', 'start')).toContain('10 certificates are reissued');
    await run('certs', 'rollover', 'finish');
    expect(readFileSync(paths.ca.cert, 'utf8')).toBe(next);
    await run('certs', 'verify');
    expect(operator.codes).toEqual([]);
  });

  it('keeps the old CA until a service that is late shows its new certificate', async () => {
    const { paths } = site();
    await run('certs', 'rollover', 'start');
    const authorities: (number | undefined)[] = [];
    const watch = watchFiles({
      paths: [join(paths.certs, 'server.crt')],
      onChange: () => Promise.resolve(),
      onProblem: (error) => {
        throw error;
      },
    });
    await watch.ready;
    const isLate = (): boolean => authorities.length < 10;
    const late = await CertificateHolder.open({
      home: paths,
      identity: 'engine',
      pollMs: 50,
      watches: () => {
        if (isLate()) authorities.push(authoritiesIn(paths.ca.cert));
        return [{ ...watch, taken: isLate() ? 'the one before' : watch.taken }];
      },
      onProblem: (error) => {
        throw error;
      },
    });
    try {
      await run('certs', 'rollover', 'finish');
    } finally {
      watch.close();
      await late.close();
    }
    expect(authorities).toEqual(Array.from({ length: 10 }, () => 2));
    expect(authoritiesIn(paths.ca.cert)).toBe(1);
  });
});

describe('certs of an instance that runs', () => {
  let checkout: Checkout;
  beforeAll(async () => {
    checkout = await Checkout.make();
    const { code, stderr } = await checkout.run('up', '--detach', '--ports', 'auto');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
  afterAll(() => checkout.remove());

  it.each([
    ['init', ['init']],
    ['issue', ['issue', 'sanctumctl']],
  ])('NATS knows what %s makes in the place of what was revoked', async (_what, args) => {
    const login = () => checkout.run('bus', 'streams');
    expect(await login()).toMatchObject({ code: 0, stderr: '' });
    await checkout.run('certs', 'revoke', 'sanctumctl');
    expect((await login()).code).not.toBe(0);
    expect(await checkout.run('certs', ...args)).toMatchObject({ code: 0, stderr: '' });
    expect(await login()).toMatchObject({ code: 0, stderr: '' });
  });

  it('init has NATS read the certificate that it makes for the listeners', async () => {
    await checkout.run('certs', 'revoke', 'drift');
    rmSync(join(checkout.home, 'certs', 'server.crt'));
    expect(await checkout.run('certs', 'init')).toMatchObject({ code: 0, stderr: '' });
    expect((await checkout.run('bus', 'streams')).code).toBe(0);
  });
});

const authoritiesIn = (file: string): number | undefined =>
  readFileSync(file, 'utf8').match(/BEGIN CERT/g)?.length;

describe('certs migration', () => {
  it('counts by identity, and says when bearer may go', async () => {
    expect(await run('certs', 'migration')).toMatch(/No request .*\nBearer stays: no service/);
    const file = join(site().paths.state, 'transport', 'engine.json');
    let now = new Date(Date.now() - 9 * 86_400_000);
    const onProblem = (reason: string): never => {
      throw new Error(reason);
    };
    const counts = await TransportCounts.open({ file, onProblem, now: () => now });
    now = new Date();
    counts.count({ transport: 'mtls', identity: 'sanctum-server' });
    expect(await run('certs', 'migration')).toMatch(
      /engine +mtls +sanctum-server +1 [^]*Bearer may be retired[^]*plain\.enabled to false/,
    );
    counts.count({ transport: 'bearer', identity: '' });
    expect(await run('certs', 'migration')).toMatch(/Bearer stays: last used on .*engine/);
    const report = JSON.parse(await run('certs', 'migration', '--json')) as { bearer: object };
    expect(report.bearer).toMatchObject({ retire: false });
  });
});

describe('certs sign', () => {
  const openssl = (...args: readonly string[]) =>
    execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] }).toString();

  it('signs for a key that stays elsewhere, for whom the operator says', async () => {
    const [key, csr, out] = ['key', 'csr', 'crt'].map((end) =>
      join(operator.folder, `offbox.${end}`),
    );
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    openssl('req', '-new', ...curve, '-keyout', `${key}`, '-out', `${csr}`, '-subj', '/CN=engine');
    await run('certs', 'sign', `${csr}`, '--identity', 'council-offbox', '--out', `${out}`);
    const { ca } = site().paths;
    const info = describeCertificate(readFileSync(`${out}`, 'utf8'), `${out}`);
    expect(info).toMatchObject({ kind: 'client', identity: { name: 'council-offbox' } });
    expect(openssl('verify', '-CAfile', ca.cert, `${out}`)).toContain('OK');
    const keyOf = (...args: string[]) => openssl(...args);
    expect(keyOf('x509', '-in', `${out}`, '-noout', '-pubkey')).toBe(
      keyOf('pkey', '-in', `${key}`, '-pubout'),
    );
    const lists = readFileSync(ca.cert.replace(/crt$/, 'crl'), 'utf8');
    await run('certs', 'revoke', info.serial);
    expect(readFileSync(ca.cert.replace(/crt$/, 'crl'), 'utf8')).not.toBe(lists);
    const crl = openssl('crl', '-in', ca.cert.replace(/crt$/, 'crl'), '-noout', '-text');
    expect(crl).toContain(`Serial Number: ${info.serial}`);
    const check = ['verify', '-crl_check', '-CRLfile', ca.cert.replace(/crt$/, 'crl')];
    expect(() => openssl(...check, '-CAfile', ca.cert, `${out}`)).toThrow();
    expect(openssl(...check, '-CAfile', ca.cert, site().paths.client('engine').cert)).toContain(
      'OK',
    );
  });

  it('refuses what is no request, and one whose sender has not the key', async () => {
    const csr = join(operator.folder, 'bad.csr');
    const sign = () => run('certs', 'sign', csr, '--identity', 'drift', '--out', `${csr}.crt`);
    await expect(sign()).rejects.toThrow(/bad\.csr cannot be read/);
    writeFileSync(csr, 'rubbish');
    await expect(sign()).rejects.toThrow(/request cannot be read/);
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    openssl('req', '-new', ...curve, '-keyout', `${csr}.key`, '-out', csr, '-subj', '/CN=x');
    const lines = readFileSync(csr, 'utf8').trim().split('\n');
    const der = Buffer.from(lines.slice(1, -1).join(''), 'base64');
    der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
    const [head = '', end = ''] = [lines[0], lines.at(-1)];
    writeFileSync(csr, `${head}\n${der.toString('base64')}\n${end}\n`);
    await expect(sign()).rejects.toThrow(/not signed by the key it is for/);
  });
});
