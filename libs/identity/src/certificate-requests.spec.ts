import { execFileSync } from 'node:child_process';
import { createPrivateKey, sign, webcrypto } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes } from 'node:fs/promises';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { homePaths, type HomePaths } from '@sanctum/catalog';
import { untilTakenOver } from './ask-holders.js';
import { KEY_ALGORITHM, SIGNING_ALGORITHM } from './authority.js';
import { CertificateHolder, HOLDER_SILENCE_MAX_MS, readHolder } from './certificate-holder.js';
import { checkRequest, makeRequest } from './certificate-request.js';
import { initPki } from './init.js';
import { describeCertificate } from './inspect.js';
import { issueCertificate } from './issue.js';
import { readLedger } from './ledger.js';
import { renewCertificates, type RenewOptions, type RenewReport } from './renew.js';
import {
  awaitAnswer,
  ensureSpool,
  readSpoolFile,
  requestFiles,
  SPOOL_FILE_BYTES_MAX,
  writeSpoolFile,
} from './request-spool.js';
import { readRevocationList } from './revocation-list.js';
import { revokeCertificates } from './revoke.js';
import { identityUri } from './service-identity.js';
import { watchFiles } from './watch-files.js';
import { x509 } from './x509.js';

const INSTANCE = 'attic';
const POLL_MS = 10;
let home: HomePaths;
let holders: CertificateHolder[] = [];
let problems: unknown[] = [];

beforeEach(async () => {
  home = homePaths(await mkdtemp(join(tmpdir(), 'sanctum-requests-')));
  await initPki({ home, instance: INSTANCE, identities: ['engine', 'canary'] });
  await ensureSpool(home);
  problems = [];
});
afterEach(async () => {
  for (const holder of holders) await holder.close();
  holders = [];
  await rm(home.home, { recursive: true, force: true });
});

async function hold(identity: string): Promise<CertificateHolder> {
  const holder = await CertificateHolder.open({
    ...{ home, identity, pollMs: POLL_MS, watches: () => [] },
    onProblem: (error) => problems.push(error),
  });
  holders.push(holder);
  return holder;
}

function renew(
  subjects: readonly string[] = ['engine'],
  change: Partial<RenewOptions> = {},
): Promise<RenewReport> {
  const base = { home, instance: INSTANCE, addresses: [], subjects };
  return renewCertificates({ ...base, select: 'all', ...change });
}

const read = (path: string): Promise<string> => readFile(path, 'utf8');
const keyOf = (identity: string): Promise<string> => read(home.client(identity).key);

async function infoOf(identity: string) {
  const { cert } = home.client(identity);
  return describeCertificate(await read(cert), cert);
}

describe('a renewal', () => {
  it('is asked of the service that runs, and made for identities without one', async () => {
    await hold('engine');
    const before = [await keyOf('engine'), await keyOf('canary')];
    const { cert: engine } = home.client('engine');
    const report = await renew(['server', 'engine', 'canary']);
    expect(report).toEqual({
      renewed: [home.server.cert, home.client('canary').cert, engine],
      byRequest: [engine],
      kept: [],
      problems: [],
    });
    expect([await keyOf('engine'), await keyOf('canary')]).not.toEqual(before);
    expect((await infoOf('engine')).identity).toMatchObject({ name: 'engine', generation: 2 });
    expect(problems).toEqual([]);
    expect(await readdir(join(home.certs, 'requests'))).toEqual(['engine.holder']);
    // And again, from the certificate that came of it.
    expect(await renew()).toMatchObject({ byRequest: [engine], problems: [] });
    expect((await infoOf('engine')).identity?.generation).toBe(3);
  });

  it('lets no key into the spool', async () => {
    const { cert, key } = home.client('engine');
    const identity = { instance: INSTANCE, name: 'engine', generation: 1 };
    const present = { cert: await read(cert), key: await read(key), identity };
    const made = await makeRequest(present, 'challenge');
    expect(made.key).toContain('PRIVATE KEY');
    expect(made.text).not.toContain('PRIVATE KEY');
    const { request } = JSON.parse(made.text) as { request: string };
    const text = execFileSync('openssl', ['req', '-noout', '-text', '-verify'], {
      input: request,
      stdio: ['pipe', 'pipe', 'ignore'],
    }).toString();
    expect(text).toMatch(/prime256v1/);
    expect(text).toMatch(/URI:spiffe:\/\/sanctum\.attic\/svc\/engine\/g1/);
  });

  it('does not wait for a service that ended, however its process id is used now', async () => {
    const { holder } = requestFiles(home, 'engine');
    writeSpoolFile(holder, JSON.stringify({ pid: 2 ** 22 + 1, follows: [] }));
    expect(await readHolder(home, 'engine')).toBeUndefined();
    expect(await renew()).toMatchObject({ byRequest: [], problems: [] });
    writeSpoolFile(holder, JSON.stringify({ pid: process.pid, follows: [] }));
    expect(await readHolder(home, 'engine')).toMatchObject({ pid: process.pid });
    const past = new Date(Date.now() - HOLDER_SILENCE_MAX_MS - 1000);
    await utimes(holder, past, past);
    expect(await readHolder(home, 'engine')).toBeUndefined();
  });

  it('is made for a service that does not answer, or cannot prove who it is', async () => {
    const { holder } = requestFiles(home, 'engine');
    writeSpoolFile(holder, JSON.stringify({ pid: process.pid, follows: [] }));
    const silent = await renew(['engine'], { answerTimeoutMs: 100 });
    expect(silent).toMatchObject({ byRequest: [], problems: [] });
    expect((await infoOf('engine')).identity?.generation).toBe(2);
    const past = new Date(Date.now() - 3 * 86_400_000);
    const expired = { kind: 'client', identity: 'canary', days: 1, now: past } as const;
    await issueCertificate({ home, instance: INSTANCE, ...expired });
    await hold('canary');
    const report = await renew(['canary']);
    expect(report).toMatchObject({ renewed: [home.client('canary').cert], byRequest: [] });
    expect(problems).toEqual([]);
  });

  it('leaves everything as it was when the service is gone before its certificate comes', async () => {
    const before = [await read(home.client('engine').cert), await keyOf('engine')];
    const holder = await hold('engine');
    const report = await renew(['engine'], { announce: () => holder.close() });
    expect(report).toMatchObject({ renewed: [], byRequest: [] });
    expect(report.problems).toEqual([
      'engine did not take its certificate, and goes on with the old one.',
    ]);
    expect([await read(home.client('engine').cert), await keyOf('engine')]).toEqual(before);
    // The next run finds it due as before.
    expect((await renew()).renewed).toEqual([home.client('engine').cert]);
  });
});

describe('a holder', () => {
  it('takes no certificate but its own, for the key it made', async () => {
    await hold('engine');
    const before = [await read(home.client('engine').cert), await keyOf('engine')];
    const { order, request, answer } = requestFiles(home, 'engine');
    for (const identity of ['canary', 'engine']) {
      writeSpoolFile(order, `for ${identity}`);
      await awaitAnswer(() => readSpoolFile(request), 5000);
      writeSpoolFile(answer, await read(home.client(identity).cert));
      await awaitAnswer(
        async () => ((await readSpoolFile(answer)) === undefined ? true : undefined),
        5000,
      );
    }
    await holders[0]?.look();
    expect(problems).toMatchObject([
      { code: 'certificate_invalid', message: expect.stringMatching(/private key/) as unknown },
      { code: 'certificate_invalid', message: expect.stringMatching(/private key/) as unknown },
    ]);
    expect([await read(home.client('engine').cert), await keyOf('engine')]).toEqual(before);
  });
});

interface Craft {
  /** Whose certificate and key prove it. */
  prover?: string;
  /** Signs in the prover's place. */
  proofKey?: string;
  uri?: string;
  challenge?: string | null;
  extensions?: x509.Extension[];
  algorithm?: EcKeyGenParams | RsaHashedKeyGenParams;
  signing?: EcdsaParams | { name: string };
  keys?: CryptoKeyPair;
}

type EcKeyGenParams = { name: string; namedCurve: string };
type EcdsaParams = { name: string; hash: string };
type RsaHashedKeyGenParams = {
  name: string;
  hash: string;
  modulusLength: number;
  publicExponent: Uint8Array<ArrayBuffer>;
};
type CryptoKeyPair = webcrypto.CryptoKeyPair;

const CHALLENGE = 'asked just now';
const nameOf = (value: string) => ({ type: 'url' as const, value });
const alternative = (names: x509.JsonGeneralNames) => [
  new x509.SubjectAlternativeNameExtension(names),
];
const uriOf = (name: string) => identityUri({ instance: INSTANCE, name, generation: 1 });

async function craft(change: Craft): Promise<string> {
  const { prover = 'engine', uri = uriOf(prover), challenge = CHALLENGE } = change;
  const { extensions = alternative([nameOf(uri)]), algorithm = KEY_ALGORITHM } = change;
  const keys =
    change.keys ?? (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']));
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [prover] }],
    ...{ keys, extensions, signingAlgorithm: change.signing ?? SIGNING_ALGORITHM },
    attributes: challenge === null ? [] : [new x509.ChallengePasswordAttribute(challenge)],
  });
  const proofKey = createPrivateKey(await keyOf(change.proofKey ?? prover));
  return JSON.stringify({
    request: request.toString('pem'),
    certificate: await read(home.client(prover).cert),
    proof: sign('sha256', Buffer.from(request.rawData), proofKey).toString('base64'),
  });
}

async function check(text: string): Promise<webcrypto.CryptoKey> {
  const ca = await read(home.ca.cert);
  const { serials: revoked } = await readRevocationList(home.ca.cert, ca);
  const asked = { identity: 'engine', instance: INSTANCE, challenge: CHALLENGE };
  return checkRequest({ ...asked, text, ca, revoked, now: new Date() });
}

async function tampered(): Promise<string> {
  const envelope = JSON.parse(await craft({})) as { request: string };
  const der = Buffer.from(x509.PemConverter.decodeFirst(envelope.request));
  der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
  return JSON.stringify({
    ...envelope,
    request: x509.PemConverter.encode(new Uint8Array(der).buffer, 'CERTIFICATE REQUEST'),
  });
}

async function presentKeys(): Promise<CryptoKeyPair> {
  const der = x509.PemConverter.decodeFirst(await keyOf('engine'));
  const { publicKey } = new x509.X509Certificate(await read(home.client('engine').cert));
  const { subtle } = webcrypto;
  return {
    privateKey: await subtle.importKey('pkcs8', der, KEY_ALGORITHM, true, ['sign']),
    publicKey: await subtle.importKey('spki', publicKey.rawData, KEY_ALGORITHM, true, ['verify']),
  };
}

const RSA = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
};
const P384 = { name: 'ECDSA', namedCurve: 'P-384' };

describe('a request', () => {
  it('is signed when it is whole', async () => {
    expect((await check(await craft({}))).algorithm).toMatchObject({ namedCurve: 'P-256' });
  });

  it.each<[string, RegExp, () => Promise<string>]>([
    ['of another identity', /comes from .*canary/, () => craft({ prover: 'canary' })],
    [
      'that asks for another identity',
      /asks for .*canary.*engine.* alone/,
      () => craft({ uri: uriOf('canary') }),
    ],
    [
      'that asks for a second name',
      /asks for .*localhost/,
      () =>
        craft({
          extensions: alternative([nameOf(uriOf('engine')), { type: 'dns', value: 'localhost' }]),
        }),
    ],
    ['that asks for no name', /asks for no name/, () => craft({ extensions: [] })],
    [
      'that asks to be a CA',
      /more than a name/,
      () =>
        craft({
          extensions: [
            ...alternative([nameOf(uriOf('engine'))]),
            new x509.BasicConstraintsExtension(true, 0, true),
          ],
        }),
    ],
    ['whose signature does not hold', /not signed by the key it is for/, tampered],
    [
      'proven with a key of somebody else',
      /not signed by the key of/,
      () => craft({ proofKey: 'canary' }),
    ],
    ['for an RSA key', /cannot be read/, () => craft({ algorithm: RSA, signing: RSA })],
    [
      'for a key on another curve',
      /cannot be read/,
      () => craft({ algorithm: P384, signing: { name: 'ECDSA', hash: 'SHA-384' } }),
    ],
    [
      'for the key that is to be replaced',
      /no new key/,
      async () => craft({ keys: await presentKeys() }),
    ],
    ['that answers an order of the past', /another challenge/, () => craft({ challenge: 'then' })],
    ['without a challenge', /another challenge/, () => craft({ challenge: null })],
    ['that is rubbish', /no request of a service/, () => Promise.resolve('rubbish')],
  ])('%s is refused', async (_what, said, make) => {
    await expect(check(await make())).rejects.toMatchObject({
      code: 'certificate_invalid',
      message: expect.stringMatching(said) as unknown,
    });
  });

  it('proven with a revoked, an expired or a foreign certificate is refused', async () => {
    const text = await craft({});
    await revokeCertificates({ home, target: 'engine' });
    await expect(check(text)).rejects.toThrow(/was revoked/);
    const past = new Date(Date.now() - 3 * 86_400_000);
    const expired = { kind: 'client', identity: 'engine', days: 1, now: past } as const;
    await issueCertificate({ home, instance: INSTANCE, ...expired });
    await expect(check(await craft({ uri: uriOf('engine') }))).rejects.toThrow(/expired on/);
    const own = home;
    home = homePaths(join(own.home, 'other'));
    await initPki({ home, instance: INSTANCE, identities: ['engine'] });
    const foreign = await craft({});
    home = own;
    await expect(check(foreign)).rejects.toThrow(/not signed by this CA/);
  });
});

describe('a file in the spool', () => {
  /** Renews while somebody puts something in the place of the request. */
  async function renewWith(plant: (path: string) => Promise<unknown>): Promise<RenewReport> {
    const { holder, order, request } = requestFiles(home, 'engine');
    writeSpoolFile(holder, JSON.stringify({ pid: process.pid, follows: [] }));
    const renewal = renew();
    await awaitAnswer(() => readSpoolFile(order), 5000);
    await plant(request);
    return renewal;
  }

  it.each<[string, RegExp, (path: string) => Promise<unknown>]>([
    ['a link', /is a symbolic link/, (path) => symlink(home.client('engine').key, path)],
    ['a folder', /is no regular file/, (path) => mkdir(path)],
    ['a pipe', /is no regular file/, (path) => Promise.resolve(execFileSync('mkfifo', [path]))],
    [
      'a file that others may read',
      /open to others/,
      async (path) => {
        await writeFile(`${path}.tmp`, await craft({}));
        await chmod(`${path}.tmp`, 0o644);
        execFileSync('mv', [`${path}.tmp`, path]);
      },
    ],
    [
      'a file that is too long',
      /at most 16384 are read/,
      async (path) => {
        await Promise.resolve();
        writeSpoolFile(path, 'x'.repeat(SPOOL_FILE_BYTES_MAX + 1));
      },
    ],
    [
      'a request made before',
      /another challenge/,
      async (path) => writeSpoolFile(path, await craft({})),
    ],
  ])('that is %s gets no certificate, and changes nothing', async (_what, said, plant) => {
    const before = [await read(home.client('engine').cert), await readLedger(home)];
    const report = await renewWith(plant);
    expect(report).toMatchObject({ renewed: [], byRequest: [] });
    expect(report.problems).toEqual([expect.stringMatching(said)]);
    expect([await read(home.client('engine').cert), await readLedger(home)]).toEqual(before);
  });
});

describe('untilTakenOver', () => {
  it('waits for every part of every service, and names who is behind', async () => {
    let usable = false;
    let tried: () => void = () => undefined;
    const refused = new Promise<void>((resolve) => (tried = resolve));
    const watch = watchFiles({
      paths: [home.ca.cert],
      pollMs: POLL_MS,
      onChange: () => (usable ? Promise.resolve() : Promise.reject(new Error('not yet'))),
      onProblem: () => tried(),
    });
    await watch.ready;
    const holder = await CertificateHolder.open({
      ...{ home, identity: 'engine', pollMs: POLL_MS, watches: () => [watch] },
      onProblem: (error) => problems.push(error),
    });
    holders.push(holder);
    await untilTakenOver(home, ['engine', 'canary']);
    const past = new Date(0);
    await utimes(home.ca.cert, past, past);
    await refused;
    await expect(untilTakenOver(home, ['engine', 'canary'], 50)).rejects.toThrow(
      /not taken over by engine:/,
    );
    usable = true;
    await untilTakenOver(home, ['engine', 'canary']);
    watch.close();
  });
});
