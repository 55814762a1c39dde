import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHome, homePaths, type HomePaths } from '@sanctum/catalog';
import fc from 'fast-check';
import { initPki, type InitPkiOptions } from './init.js';
import { describeCertificate, listCertificates, verifyCertificate } from './inspect.js';
import { issueCertificate } from './issue.js';
import { readLedger } from './ledger.js';
import { renewCertificates } from './renew.js';
import { revokeCertificates } from './revoke.js';
import { identityUri, parseIdentityUri } from './service-identity.js';

const DAY_MS = 86_400_000;
const run = promisify(execFile);
let home: HomePaths;

beforeEach(async () => {
  home = homePaths(await mkdtemp(join(tmpdir(), 'sanctum-pki-')));
});

afterEach(async () => {
  await rm(home.home, { recursive: true, force: true });
});

function init(change: Partial<InitPkiOptions> = {}) {
  return initPki({ home, instance: 'attic', identities: ['guardian'], ...change });
}

describe('initPki', () => {
  it('makes a CA, a server and a client certificate with private keys only the owner reads', async () => {
    const report = await init({ addresses: ['10.0.0.7', 'attic.local'] });
    const client = home.client('guardian');
    expect(report).toEqual({
      issued: [home.ca.cert, home.server.cert, client.cert],
      kept: [],
    });
    for (const { key } of [home.ca, home.server, client]) {
      expect((await stat(key)).mode & 0o777).toBe(0o600);
    }
    const [ca, server, guardian] = await listCertificates(home);
    expect(ca).toMatchObject({ kind: 'ca', commonName: 'Sanctum CA attic' });
    expect(server).toMatchObject({
      kind: 'server',
      dnsNames: ['localhost', 'attic.local'],
      signatureHash: 'SHA-256',
    });
    expect(server?.addresses).toEqual(['127.0.0.1', '::1', '10.0.0.7']);
    expect(guardian).toMatchObject({
      kind: 'client',
      commonName: 'guardian',
      identity: { instance: 'attic', name: 'guardian', generation: 1 },
    });
  });

  it('agrees with openssl about curve, lifetimes, path length and usages', async () => {
    const now = new Date('2026-03-01T12:00:00Z');
    await init({ now });
    const text = async (path: string): Promise<string> =>
      (await run('openssl', ['x509', '-in', path, '-noout', '-text'])).stdout;
    const ca = await text(home.ca.cert);
    expect(ca).toMatch(/CA:TRUE, pathlen:0/);
    expect(ca).toMatch(/prime256v1/);
    expect(ca).toMatch(/ecdsa-with-SHA256/);
    expect(ca).toMatch(/Not Before: Mar {2}1 11:55:00 2026/);
    expect(ca).toMatch(/Not After : Feb 28 12:00:00 2031/);
    const leaf = await text(home.client('guardian').cert);
    expect(leaf).toMatch(/Not After : Mar 31 12:00:00 2026/);
    expect(leaf).toMatch(/TLS Web Client Authentication/);
    expect(leaf).not.toMatch(/TLS Web Server Authentication/);
    expect(leaf).toMatch(/URI:spiffe:\/\/sanctum\.attic\/svc\/guardian\/g1/);
    expect(await text(home.server.cert)).toMatch(/TLS Web Server Authentication/);
    const chain = ['verify', '-attime', String(now.getTime() / 1000), '-x509_strict', '-CAfile'];
    const verdict = await run('openssl', [...chain, home.ca.cert, home.server.cert]);
    expect(verdict.stdout).toMatch(/server\.crt: OK/);
  });

  it('keeps what is there and adds what is new', async () => {
    await init();
    const before = await readFile(home.server.cert, 'utf8');
    const report = await init({ identities: ['guardian', 'canary'] });
    expect(report.issued).toEqual([home.client('canary').cert]);
    expect(report.kept).toEqual([home.ca.cert, home.server.cert, home.client('guardian').cert]);
    expect(await readFile(home.server.cert, 'utf8')).toBe(before);
  });

  it('makes the server certificate anew when an address is missing from it', async () => {
    await init();
    expect((await init({ addresses: ['10.0.0.7'] })).issued).toEqual([home.server.cert]);
    expect((await init({ addresses: ['10.0.0.7'] })).issued).toEqual([]);
    expect((await init({ addresses: ['0:0:0:0:0:0:0:1'] })).issued).toEqual([]);
  });

  it('renews leaves at two thirds of their life, each in a generation of its own', async () => {
    const now = new Date();
    await init({ now });
    await issueCertificate({ home, instance: 'attic', kind: 'client', identity: 'guardian', now });
    const at = (days: number) => new Date(now.getTime() + days * DAY_MS);
    expect((await init({ now: at(18) })).issued).toEqual([]);
    expect((await init({ now: at(21) })).issued).toHaveLength(2);
    const [, , guardian] = await listCertificates(home);
    expect(guardian?.identity?.generation).toBe(3);
    expect(guardian?.notAfter.getTime()).toBeGreaterThan(at(50).getTime());
  });

  it.each<[string, () => Promise<unknown>]>([
    ['issued', () => issueCertificate({ home, instance: 'attic', kind: 'server' })],
    [
      'renewed',
      () =>
        renewCertificates({
          ...{ home, instance: 'attic', addresses: ['FD00:0:0::7'], subjects: ['server'] },
          select: 'all',
        }),
    ],
    ['replaced after it was revoked', () => revokeAndInit()],
    ['made anew because it cannot be read', () => spoilAndInit()],
  ])('keeps every name of a server certificate that is %s', async (_what, replace) => {
    await init();
    const addresses = ['attic.lan', '10.0.0.7', 'fd00::7'];
    await issueCertificate({ home, instance: 'attic', kind: 'server', addresses });
    const before = await readFile(home.server.cert, 'utf8');
    await replace();
    expect(await readFile(home.server.cert, 'utf8')).not.toBe(before);
    const [, server] = await listCertificates(home);
    expect(server?.dnsNames).toEqual(['localhost', 'attic.lan']);
    expect(server?.addresses).toHaveLength(4);
    expect((await init({ addresses })).issued).toEqual([]);
  });

  async function revokeAndInit(): Promise<void> {
    await revokeCertificates({ home, target: 'server' });
    await init();
  }

  async function spoilAndInit(): Promise<void> {
    await revokeCertificates({ home, target: 'server' });
    await writeFile(home.server.cert, '-----BEGIN CERTIFICATE-----\nrubbish');
    await init();
  }

  it('announces new generations when they are recorded and before they are written', async () => {
    await init();
    const { cert } = home.client('guardian');
    await unlink(cert);
    await unlink(home.server.cert);
    const seen: unknown[] = [];
    const announce = async (): Promise<void> => {
      const { generations } = await readLedger(home);
      seen.push([generations['guardian'], existsSync(cert), existsSync(home.server.cert)]);
    };
    expect((await init({ announce })).issued).toEqual([home.server.cert, cert]);
    await init({ announce });
    const options = { home, instance: 'attic', kind: 'client', identity: 'guardian' } as const;
    await unlink(cert);
    await issueCertificate(options, announce);
    expect(seen).toEqual([
      [2, false, true],
      [3, false, true],
    ]);
  });

  it('replaces a leaf whose key was lost or does not match', async () => {
    await init();
    await unlink(home.server.key);
    expect((await init()).issued).toEqual([home.server.cert]);
    await writeFile(home.server.key, await readFile(home.client('guardian').key));
    expect((await init()).issued).toEqual([home.server.cert]);
  });

  it('makes a CA anew whose making was killed, and none that has signed', async () => {
    await init();
    const key = await readFile(home.ca.key);
    await rm(home.certs, { recursive: true });
    createHome(home.home);
    await writeFile(home.ca.key, key);
    expect((await init()).issued).toContain(home.ca.cert);
    expect(await readFile(home.ca.key)).not.toEqual(key);
    await unlink(home.ca.cert);
    await expect(init()).rejects.toThrow(/ca\.key exists but .*ca\.crt is gone/);
  });

  it('never replaces a CA: a lost key, a foreign key and an expired CA are said', async () => {
    await init();
    const key = await readFile(home.ca.key);
    await unlink(home.ca.key);
    await expect(init()).rejects.toThrow(/ca\.crt exists but .*ca\.key is gone/);
    await writeFile(home.ca.key, await readFile(home.server.key));
    await expect(init()).rejects.toThrow(/ca\.key is not the key of .*ca\.crt/);
    await writeFile(home.ca.key, 'rubbish');
    await expect(init()).rejects.toThrow(/CA private key .*ca\.key is not a PEM file/);
    await writeFile(home.ca.key, key);
    const late = new Date(Date.now() + 6 * 365 * DAY_MS);
    await expect(init({ now: late })).rejects.toThrow(/CA certificate .*ca\.crt expired on/);
  });
});

describe('issueCertificate', () => {
  it.each([
    ['an identity with a path in it', { identity: '../ca' }],
    ['a lifetime of nothing', { identity: 'guardian', days: 0 }],
    ['a lifetime beyond the limit', { identity: 'guardian', days: 826 }],
    ['generation zero', { identity: 'guardian', generation: 0 }],
  ])('refuses %s', async (_what, options) => {
    await init();
    await expect(
      issueCertificate({ home, instance: 'attic', kind: 'client', ...options }),
    ).rejects.toMatchObject({ code: 'config_invalid' });
  });

  it('says when there is no CA', async () => {
    await expect(issueCertificate({ home, instance: 'attic', kind: 'server' })).rejects.toThrow(
      /CA certificate .*ca\.crt cannot be read/,
    );
  });
});

describe('verifyCertificate', () => {
  it('lists every fault at once', async () => {
    await init();
    const read = (path: string) => readFile(path, 'utf8');
    const verdict = verifyCertificate({
      ca: await read(home.client('guardian').cert),
      cert: await read(home.server.cert),
      key: await read(home.ca.key),
      usage: 'client',
      path: 'server.crt',
      now: new Date(Date.now() + 40 * DAY_MS),
    });
    expect(verdict.faults.map(({ fault }) => fault)).toEqual([
      'expired',
      'wrong_ca',
      'wrong_usage',
      'wrong_name',
      'key_mismatch',
    ]);
  });

  it('takes rubbish without throwing', async () => {
    await init();
    const ca = await readFile(home.ca.cert, 'utf8');
    const verdict = verifyCertificate({ ca, cert: 'rubbish', usage: 'client' });
    expect(verdict.faults).toMatchObject([{ fault: 'unreadable' }]);
    expect(() => describeCertificate('rubbish', 'x.crt')).toThrow(/x\.crt cannot be parsed/);
  });
});

describe('identity URIs', () => {
  const name = fc.stringMatching(/^[a-z](?:[a-z0-9-]{0,20}[a-z0-9])?$/);

  it('round-trip', () => {
    fc.assert(
      fc.property(name, name, fc.integer({ min: 1, max: 999_999_999 }), (instance, who, g) => {
        const identity = { instance, name: who, generation: g };
        expect(parseIdentityUri(identityUri(identity))).toEqual(identity);
      }),
    );
  });

  it.each([
    'spiffe://sanctum.attic/svc/guardian',
    'spiffe://sanctum.attic/svc/guardian/g0',
    'spiffe://sanctum.attic/svc/guardian/g1/x',
    'spiffe://sanctum.attic.evil/svc/guardian/g1',
    'https://sanctum.attic/svc/guardian/g1',
    'spiffe://sanctum.attic/svc/Guardian/g1',
    '',
  ])('reads nothing into %p', (uri) => {
    expect(parseIdentityUri(uri)).toBeUndefined();
  });
});
