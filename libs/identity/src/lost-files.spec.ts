import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import * as tls from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { homePaths, type HomePaths } from '@sanctum/catalog';
import { initPki } from './init.js';
import { describeCertificate } from './inspect.js';
import { issueCertificate } from './issue.js';
import { readLedger } from './ledger.js';
import { LiveTls } from './live-tls.js';
import { crlPathOf, pkiFiles } from './pki-files.js';
import { renewCertificates } from './renew.js';
import { readRevocationList } from './revocation-list.js';
import { acceptedGenerations, revokeCertificates } from './revoke.js';
import { dropOldAuthority, signWithNextAuthority, trustNextAuthority } from './rollover.js';
import { clientTlsOptions, readTlsFiles, serverTlsOptions, type TlsTexts } from './tls.js';

const INSTANCE = 'attic';
/** Files are looked at when a test says so, and never in the middle of a change. */
const NO_POLL_MS = 3_600_000;
let home: HomePaths;
let crl = '';
let ledger = '';

beforeEach(async () => {
  home = homePaths(await mkdtemp(join(tmpdir(), 'sanctum-lost-')));
  crl = crlPathOf(home.ca.cert);
  ({ ledger } = pkiFiles(home));
  await initPki({ home, instance: INSTANCE, identities: ['guardian', 'canary'] });
});
afterEach(() => rm(home.home, { recursive: true }));

const materialOf = (identity: string) =>
  readTlsFiles({ ca: home.ca.cert, ...home.client(identity) }, 'client');

async function infoOf(identity: string) {
  const { cert } = home.client(identity);
  return describeCertificate(await readFile(cert, 'utf8'), cert);
}

const issue = (identity: string) =>
  issueCertificate({ home, instance: INSTANCE, kind: 'client', identity });
const revoke = (target: string) => revokeCertificates({ home, target });

async function revokedSerials(): Promise<ReadonlySet<string>> {
  const { serials } = await readRevocationList(home.ca.cert, await readFile(home.ca.cert, 'utf8'));
  return serials;
}

describe('a listener whose revocation list goes missing', () => {
  let live: LiveTls;
  let server: tls.Server;
  let problems: unknown[] = [];

  beforeEach(async () => {
    problems = [];
    live = await LiveTls.open({
      paths: { ca: home.ca.cert, ...home.server },
      usage: 'server',
      pollMs: NO_POLL_MS,
      onProblem: (error) => problems.push(error),
    });
    server = tls.createServer(serverTlsOptions(live.material), (socket) => socket.end('hello'));
    live.onChange((material) => server.setSecureContext(serverTlsOptions(material)));
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });
  afterEach(() => {
    live.close();
    server.close();
  });

  /** What the listener says to this client; empty when it refuses it. */
  async function greet(client: TlsTexts): Promise<string> {
    const { port } = server.address() as AddressInfo;
    const socket = tls.connect({ ...clientTlsOptions(client), host: '127.0.0.1', port });
    let said = '';
    try {
      for await (const chunk of socket) said += String(chunk);
    } catch {
      return '';
    }
    return said;
  }

  it('goes on refusing what it revoked, takes other files over, and says so once', async () => {
    const [guardian, canary] = [await materialOf('guardian'), await materialOf('canary')];
    await revoke('canary');
    await live.refresh();
    expect([await greet(guardian), await greet(canary)]).toEqual(['hello', '']);
    await rm(crl);
    const { serial } = await issueCertificate({ home, instance: INSTANCE, kind: 'server' });
    await live.refresh();
    await live.refresh();
    expect(live.material.serial).toBe(serial);
    expect([await greet(guardian), await greet(canary)]).toEqual(['hello', '']);
    expect(problems).toMatchObject([
      {
        code: 'certificate_invalid',
        message: expect.stringContaining('ca.crl is gone') as unknown,
      },
    ]);
  });

  it('is given the list again by a renewal, whatever is due', async () => {
    const canary = await materialOf('canary');
    await revoke('canary');
    const serials = await revokedSerials();
    await rm(crl);
    const base = { home, instance: INSTANCE, addresses: [], subjects: ['server'] };
    expect((await renewCertificates({ ...base, select: 'due' })).renewed).toEqual([]);
    expect(await revokedSerials()).toEqual(serials);
    await live.refresh();
    expect(await greet(canary)).toBe('');
  });

  it('takes no CA over that the list it knows does not cover', async () => {
    const { ca } = live.material;
    await trustNextAuthority(home, INSTANCE);
    await rm(crl);
    await live.refresh();
    expect(live.material.ca).toBe(ca);
    expect(problems).toMatchObject([{ code: 'certificate_invalid' }]);
  });
});

describe('a ledger that goes missing', () => {
  it('comes back with what was revoked, and the next list names all of it', async () => {
    const serials: string[] = [];
    // Its files are there, set aside.
    serials.push((await infoOf('canary')).serial);
    await revoke('canary');
    // Of this one nothing is left but its place in the list.
    serials.push((await infoOf('guardian')).serial);
    await issue('guardian');
    await revoke(serials[1] ?? '');
    await rm(ledger);
    serials.push((await infoOf('guardian')).serial);
    await revoke('guardian');
    expect([...(await revokedSerials())].sort()).toEqual([...serials].sort());
    await issue('canary');
    await revoke('canary');
    expect([...(await revokedSerials())]).toEqual(expect.arrayContaining(serials));
  });

  it('begins no generation again', async () => {
    await issue('canary');
    await revoke('canary');
    await mkdir(dirname(home.natsConfig), { recursive: true });
    await writeFile(home.natsConfig, 'user: "spiffe://sanctum.attic/svc/guardian/g7"\n');
    await rm(ledger);
    expect(await acceptedGenerations(home)).toEqual([
      { instance: INSTANCE, name: 'guardian', generation: 1 },
    ]);
    expect((await issue('canary')).identity?.generation).toBe(3);
    expect((await issue('guardian')).identity?.generation).toBe(8);
  });

  it('knows what was set aside also where the list is gone with it', async () => {
    const { serial } = await infoOf('canary');
    await revoke('canary');
    await rm(ledger);
    await rm(crl);
    await initPki({ home, instance: INSTANCE, identities: ['guardian', 'canary'] });
    expect([...(await revokedSerials())]).toEqual([serial]);
  });

  it('forgets what the old CA revoked when that is trusted no more', async () => {
    await revoke('canary');
    await rm(ledger);
    await trustNextAuthority(home, INSTANCE);
    await signWithNextAuthority(home);
    expect((await revokedSerials()).size).toBe(1);
    const base = { home, instance: INSTANCE, addresses: [], subjects: ['server', 'guardian'] };
    await renewCertificates({ ...base, select: 'all' });
    await dropOldAuthority(home);
    expect((await readLedger(home)).issued.map(({ subject }) => subject)).toEqual([
      'server',
      'guardian',
    ]);
  });

  it('is not made up where the list cannot be read', async () => {
    await revoke('canary');
    await rm(ledger);
    await writeFile(crl, 'rubbish');
    await expect(revoke('guardian')).rejects.toMatchObject({
      code: 'io',
      message: expect.stringMatching(/issued\.json is gone.*ca\.crl.*Restore one/) as unknown,
    });
    expect(await readFile(crl, 'utf8')).toBe('rubbish');
  });
});
