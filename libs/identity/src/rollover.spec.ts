import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { homePaths, type HomePaths } from '@sanctum/catalog';
import { build } from 'esbuild';
import { initPki } from './init.js';
import { listCertificates } from './inspect.js';
import { issueCertificate } from './issue.js';
import { pkiFiles } from './pki-files.js';
import { renewCertificates } from './renew.js';
import { revokeCertificates } from './revoke.js';
import {
  dropOldAuthority,
  rolloverStatus,
  signWithNextAuthority,
  trustNextAuthority,
} from './rollover.js';
import { clientTlsOptions, readTlsFiles, serverTlsOptions } from './tls.js';

const INSTANCE = 'attic';
const SUBJECTS = ['server', 'guardian', 'canary'];
/** More than any step changes. */
const CHANGES_MAX = 16;
let root = '';
let program = '';

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sanctum-rollover-'));
  program = join(root, 'step.mjs');
  await build({
    entryPoints: [fileURLToPath(new URL('killed-rollover.fixture.ts', import.meta.url))],
    outfile: program,
    ...{ bundle: true, format: 'esm', platform: 'node', conditions: ['@sanctum/source'] },
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
  });
});
afterAll(() => rm(root, { recursive: true }));

type Step = 'trust' | 'sign' | 'drop';

async function startRollover(home: HomePaths): Promise<void> {
  if ((await rolloverStatus(home)).phase !== 'signing') await trustNextAuthority(home, INSTANCE);
  await signWithNextAuthority(home);
  await renew(home);
}

async function renew(home: HomePaths): Promise<void> {
  const base = { home, instance: INSTANCE, addresses: [], subjects: SUBJECTS };
  await renewCertificates({ ...base, select: 'all' });
}

const BEFORE: Record<Step, (home: HomePaths) => Promise<void>> = {
  trust: async () => Promise.resolve(),
  sign: (home) => trustNextAuthority(home, INSTANCE),
  drop: startRollover,
};

async function prepared(step: Step): Promise<HomePaths> {
  const home = homePaths(await mkdtemp(join(root, `${step}-`)));
  await initPki({ home, instance: INSTANCE, identities: ['guardian', 'canary'] });
  await BEFORE[step](home);
  return home;
}

/** Whether the step was killed before its nth change. */
async function isKilled(home: HomePaths, step: Step, nth: number): Promise<boolean> {
  const args = [program, home.home, step, String(nth)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  if (signal !== 'SIGKILL') expect(code).toBe(0);
  return signal === 'SIGKILL';
}

/** A handshake with the files as they lie on disk. */
async function shakeHands(home: HomePaths): Promise<void> {
  const files = async (usage: 'server' | 'client') => {
    const pair = usage === 'server' ? home.server : home.client('guardian');
    return readTlsFiles({ ca: home.ca.cert, ...pair }, usage);
  };
  const server = tls.createServer(serverTlsOptions(await files('server')), (socket) =>
    socket.end('hello'),
  );
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const options = { ...clientTlsOptions(await files('client')), host: '127.0.0.1', port };
  let said = '';
  try {
    for await (const chunk of tls.connect(options)) said += String(chunk);
  } finally {
    server.close();
  }
  expect(said).toBe('hello');
}

async function authoritiesOf(home: HomePaths): Promise<ReadonlySet<string>> {
  const leaves = (await listCertificates(home)).filter(({ kind }) => kind !== 'ca');
  return new Set(leaves.map(({ authorityKeyId }) => authorityKeyId));
}

describe.each<Step>(['trust', 'sign', 'drop'])('a rollover that is killed in step %s', (step) => {
  it('goes on from whatever files it left, and every command works meanwhile', async () => {
    const start = await prepared(step);
    const [old] = await authoritiesOf(start);
    let cuts = 0;
    for (let nth = 1; nth < CHANGES_MAX; nth += 1) {
      const home = homePaths(`${start.home}-${nth}`);
      await cp(start.home, home.home, { recursive: true });
      if (!(await isKilled(home, step, nth))) break;
      cuts += 1;
      await shakeHands(home);
      await revokeCertificates({ home, target: 'canary' });
      await issueCertificate({ home, instance: INSTANCE, kind: 'client', identity: 'canary' });
      await shakeHands(home);
      if (step !== 'drop') await startRollover(home);
      await shakeHands(home);
      if ((await rolloverStatus(home)).phase === 'signing') await dropOldAuthority(home);
      expect(await rolloverStatus(home)).toEqual({ phase: 'none', remaining: [] });
      const authorities = [...(await authoritiesOf(home))];
      expect(authorities).toHaveLength(1);
      if (step !== 'drop') expect(authorities).not.toEqual([old]);
      expect((await readFile(home.ca.cert, 'utf8')).match(/BEGIN CERT/g)).toHaveLength(1);
      expect(existsSync(pkiFiles(home).nextCa.key)).toBe(false);
      expect(existsSync(pkiFiles(home).oldCa.key)).toBe(false);
      await shakeHands(home);
    }
    expect(cuts).toBeGreaterThan(3);
  });
});

describe('a rollover', () => {
  it('starts anew where the next CA has lost one of its files', async () => {
    for (const lost of ['cert', 'key'] as const) {
      const home = await prepared('sign');
      await rm(pkiFiles(home).nextCa[lost]);
      expect((await rolloverStatus(home)).phase).toBe('none');
      await startRollover(home);
      await dropOldAuthority(home);
      await shakeHands(home);
    }
  });

  it('is not finished while a certificate in use is of the old CA, whatever was signed', async () => {
    const home = await prepared('sign');
    const { cert, key } = home.client('guardian');
    const used = [await readFile(cert), await readFile(key)] as const;
    await startRollover(home);
    // As after a kill between signing and writing.
    await writeFile(cert, used[0]);
    await writeFile(key, used[1]);
    expect((await rolloverStatus(home)).remaining).toEqual(['guardian']);
    await expect(dropOldAuthority(home)).rejects.toThrow(/old CA are still .*guardian/);
    await renew(home);
    await dropOldAuthority(home);
    await shakeHands(home);
  });

  it('signs with the next CA once, and goes on when it is told again', async () => {
    const home = await prepared('trust');
    await expect(signWithNextAuthority(home)).rejects.toThrow(/No CA waits to sign/);
    await startRollover(home);
    await expect(trustNextAuthority(home, INSTANCE)).rejects.toThrow(/under way/);
    await signWithNextAuthority(home);
    expect((await rolloverStatus(home)).phase).toBe('signing');
  });
});
