import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { x509 } from './x509.js';
import { homePaths, type HomePaths } from '@sanctum/catalog';
import { webcrypto } from 'node:crypto';
import { exportKey, KEY_ALGORITHM } from './authority.js';
import { initPki } from './init.js';
import { issueCertificate } from './issue.js';
import { clientTlsOptions, peerIdentity, readTlsFiles, serverTlsOptions } from './tls.js';

interface Pair {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const DAY_MS = 86_400_000;
let root: string;
let home: HomePaths;
let otherHome: HomePaths;
let server: tls.Server;
let lenient: tls.Server;
let port: number;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sanctum-identity-'));
  home = homePaths(join(root, 'home'));
  otherHome = homePaths(join(root, 'other'));
  await initPki({ home, instance: 'test', identities: ['guardian', 'engine'] });
  await initPki({ home: otherHome, instance: 'test', identities: ['guardian'] });
  server = await listen(await pairOf('server'));
  lenient = await listen(await pairOf('server'), { rejectUnauthorized: false });
  port = portOf(server);
});

afterAll(async () => {
  server.close();
  lenient.close();
  await rm(root, { recursive: true, force: true });
});

describe('a listener with serverTlsOptions', () => {
  it('lets an identity in and names it', async () => {
    expect(await greet(await pairOf('guardian'))).toBe('hello guardian g1 of test');
  });

  it('refuses a client without a certificate', async () => {
    const { ca } = await pairOf('guardian');
    expect(await refusal({ ca })).toBe('UNABLE_TO_GET_ISSUER_CERT');
  });

  it('refuses an expired certificate', async () => {
    const past = new Date(Date.now() - 10 * DAY_MS);
    await issue({ identity: 'expired', now: past, days: 1 });
    expect(await refusal(await pairOf('expired'))).toBe('CERT_HAS_EXPIRED');
  });

  it('refuses a certificate that is not valid yet', async () => {
    await issue({ identity: 'early', now: new Date(Date.now() + DAY_MS) });
    expect(await refusal(await pairOf('early'))).toBe('CERT_NOT_YET_VALID');
  });

  it('refuses a certificate of another CA with the same name', async () => {
    const { ca } = await pairOf('guardian');
    const foreign = await pairOf('guardian', otherHome);
    expect(await refusal({ ...foreign, ca })).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  });

  it('refuses a server certificate used by a client', async () => {
    expect(await refusal(await pairOf('server'))).toBe('INVALID_PURPOSE');
  });

  it('refuses a certificate signed by a leaf that poses as a CA', async () => {
    const leaf = await pairOf('guardian');
    const forged = await forge({ issuer: leaf, hash: 'SHA-256' });
    const chain = { ...forged, cert: forged.cert + leaf.cert };
    expect(await refusal(chain)).toBe('UNSPECIFIED');
  });

  it('refuses a SHA-1 signature, though the CA itself made it', async () => {
    const ca = await readFile(home.ca.cert, 'utf8');
    const key = await readFile(home.ca.key, 'utf8');
    const issuer = { ca, cert: ca, key };
    expect(await greet(await forge({ issuer, hash: 'SHA-256' }))).toMatch(/^hello guardian/);
    const forged = await forge({ issuer, hash: 'SHA-1' });
    const careless = { ...forged, ciphers: 'DEFAULT@SECLEVEL=0' };
    expect(await refusal(careless)).toBe('UNSPECIFIED');
  });

  it('gives no identity to a certificate without a Sanctum URI', async () => {
    const ca = await readFile(home.ca.cert, 'utf8');
    const key = await readFile(home.ca.key, 'utf8');
    const issuer = { ca, cert: ca, key };
    const nameless = await forge({ issuer, hash: 'SHA-256', uris: [] });
    expect(await greet(nameless)).toBe('nobody');
    const twofold = ['a', 'b'].map((name) => `spiffe://sanctum.test/svc/${name}/g1`);
    expect(await greet(await forge({ issuer, hash: 'SHA-256', uris: twofold }))).toBe('nobody');
  });

  it('speaks TLS 1.2 or newer only', async () => {
    const options = { ...(await pairOf('guardian')), maxVersion: 'TLSv1.1' } as const;
    await expect(
      greet({ ...options, minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    ).rejects.toThrow(/version/i);
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('never resumes a session (%s)', async (version) => {
    const pair = { ...(await pairOf('guardian')), maxVersion: version };
    let session: Buffer | undefined;
    await greet(pair, (socket) => {
      socket.on('session', (data) => (session = data));
      session = socket.getSession() ?? session;
    });
    let reused = true;
    await greet({ ...pair, ...(session === undefined ? {} : { session }) }, (socket) => {
      socket.once('secureConnect', () => (reused = socket.isSessionReused()));
    });
    expect(reused).toBe(false);
  });
});

describe('a client with clientTlsOptions', () => {
  it('refuses a server whose names do not cover the host', async () => {
    await expect(
      greet({ ...(await pairOf('guardian')), servername: 'other.local' }),
    ).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });

  it('refuses a server of another CA', async () => {
    const { ca } = await pairOf('guardian', otherHome);
    await expect(greet({ ...(await pairOf('guardian')), ca })).rejects.toThrow(
      /certificate|signature/i,
    );
  });

  it('refuses a client certificate used by a server', async () => {
    const impostor = await listen(await pairOf('engine'));
    const options = { ...(await pairOf('guardian')), to: portOf(impostor) };
    await expect(greet(options)).rejects.toMatchObject({ code: 'INVALID_PURPOSE' });
    impostor.close();
  });
});

describe('readTlsFiles', () => {
  const paths = (name: string) => ({ ca: home.ca.cert, ...home.client(name) });

  it('reads a good pair', async () => {
    const material = await readTlsFiles(paths('guardian'), 'client');
    expect(material.notAfter.getTime()).toBeGreaterThan(Date.now() + 29 * DAY_MS);
    expect(await greet(clientTlsOptions(material))).toBe('hello guardian g1 of test');
  });

  it.each([
    ['a missing file', { cert: '/nowhere/x.crt' }, /\/nowhere\/x\.crt cannot be read: ENOENT/],
    ['a foreign key', { key: 'engine' }, /guardian\.crt does not belong to its private key/],
    ['a server file', { cert: 'server' }, /server\.crt is not a client certificate/],
    ['another CA', { ca: 'other' }, /guardian\.crt was not signed by this CA/],
  ])('refuses %s and names it', async (_what, change: Record<string, string>, message) => {
    const files: Record<string, string> = {
      engine: home.client('engine').key,
      server: home.server.cert,
      other: otherHome.ca.cert,
    };
    const changed = Object.fromEntries(
      Object.entries(change).map(([field, name]) => [field, files[name] ?? name]),
    );
    await expect(
      readTlsFiles({ ...paths('guardian'), ...changed }, 'client'),
    ).rejects.toMatchObject({
      code: 'certificate_invalid',
      message: expect.stringMatching(message),
    });
  });

  it('refuses an expired certificate', async () => {
    const later = new Date(Date.now() + 31 * DAY_MS);
    await expect(readTlsFiles(paths('guardian'), 'client', later)).rejects.toThrow(/expired on/);
  });
});

async function listen(pair: Pair, change: tls.TlsOptions = {}): Promise<tls.Server> {
  const listener = tls.createServer({ ...serverTlsOptions(pair), ...change }, (socket) => {
    const peer = peerIdentity(socket);
    const known = peer && `hello ${peer.name} g${peer.generation} of ${peer.instance}`;
    const fault = socket.authorized ? undefined : String(socket.authorizationError);
    socket.end(known ?? fault ?? 'nobody');
  });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  return listener;
}

/**
 * Checks that the listener lets the client nowhere near its handler, and returns why: Node drops
 * such a client without a word, so the reason comes from a twin that listens to it all the same.
 * (`UNSPECIFIED` is Node's word for an invalid CA and for a digest that is too weak.)
 */
async function refusal(options: GreetOptions): Promise<string> {
  expect(await greet(options).catch(() => '')).toBe('');
  return greet({ ...options, to: portOf(lenient) });
}

type GreetOptions = tls.ConnectionOptions & { readonly to?: number };

/** Everything the listener says until it closes; rejects when the handshake fails. */
async function greet(
  options: GreetOptions,
  observe?: (socket: tls.TLSSocket) => void,
): Promise<string> {
  const { to = port, ...rest } = options;
  const socket = tls.connect({ host: '127.0.0.1', port: to, ...rest });
  observe?.(socket);
  let said = '';
  for await (const chunk of socket.setEncoding('utf8')) said += String(chunk);
  return said;
}

function portOf(listener: tls.Server): number {
  return (listener.address() as AddressInfo).port;
}

async function pairOf(name: string, from: HomePaths = home): Promise<Pair> {
  const files = name === 'server' ? from.server : from.client(name);
  const [ca, cert, key] = await Promise.all(
    [from.ca.cert, files.cert, files.key].map((path) => readFile(path, 'utf8')),
  );
  return { ca: ca ?? '', cert: cert ?? '', key: key ?? '' };
}

async function issue(options: { identity: string; now: Date; days?: number }): Promise<void> {
  await issueCertificate({ home, instance: 'test', kind: 'client', ...options });
}

interface Forgery {
  readonly issuer: Pair;
  readonly hash: 'SHA-1' | 'SHA-256';
  readonly uris?: readonly string[];
}

/** A client certificate that issueCertificate would never make. */
async function forge({ issuer, hash, uris }: Forgery): Promise<Pair> {
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  const der = x509.PemConverter.decodeFirst(issuer.key);
  const signingKey = await webcrypto.subtle.importKey('pkcs8', der, KEY_ALGORITHM, true, ['sign']);
  const names = uris ?? ['spiffe://sanctum.test/svc/guardian/g1'];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: '0badcafe',
    subject: 'CN=guardian',
    issuer: new x509.X509Certificate(issuer.cert).subjectName,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + DAY_MS),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: { name: 'ECDSA', hash },
    extensions: [
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      ...(names.length === 0
        ? []
        : [
            new x509.SubjectAlternativeNameExtension(
              names.map((value) => ({ type: 'url' as const, value })),
            ),
          ]),
    ],
  });
  const ca = await readFile(home.ca.cert, 'utf8');
  return { ca, cert: certificate.toString('pem') + '\n', key: await exportKey(keys.privateKey) };
}
