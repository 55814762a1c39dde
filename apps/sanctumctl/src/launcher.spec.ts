import { execFile, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const run = promisify(execFile);
const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
const AT_ONCE = 4;

/** Stands for a build: fails where another is at work, and takes as long as a process does. */
const EXCLUSIVE = `
import { mkdirSync, rmdirSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
mkdirSync('at-work');
spawnSync(process.execPath, ['--version']);
rmdirSync('at-work');
`;

describe('launchers of one checkout', () => {
  let root: string;
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'sanctum-launcher-'));
    copyFileSync(join(REPOSITORY, 'sanctumctl'), join(root, 'sanctumctl'));
    write('package-lock.json', '{}');
    write('node_modules/.sanctum-lock', '{}');
    write('tools/launcher/ensure-built.mjs', EXCLUSIVE);
    write('apps/sanctumctl/dist/bundle/main.mjs', "process.stdout.write('at your service')");
    symlinkSync(join(REPOSITORY, 'tools/provision'), join(root, 'tools/provision'));
  });
  afterAll(() => {
    rmSync(root, { recursive: true });
  });

  function write(file: string, text: string): void {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }

  const launch = async (): Promise<string> =>
    (await run(join(root, 'sanctumctl'), ['help'], { cwd: root })).stdout;
  const lock = (): string => join(root, '.nx/launcher.lock');

  it('wait for the one at work, and say for whom', async () => {
    mkdirSync(dirname(lock()), { recursive: true });
    symlinkSync(String(process.pid), lock());
    const launched = run(join(root, 'sanctumctl'), ['help'], { cwd: root });
    launched.child.stderr?.once('data', () => {
      unlinkSync(lock());
    });
    expect(await launched).toEqual({
      stdout: 'at your service',
      stderr: `Waiting for process ${process.pid}, which installs or builds here ...\n`,
    });
  });

  it('build one after the other', async () => {
    const said = await Promise.all(Array.from({ length: AT_ONCE }, launch));
    expect(new Set(said)).toEqual(new Set(['at your service']));
    expect(existsSync(lock())).toBe(false);
  });

  it('take over from one that was killed', async () => {
    const { pid } = spawnSync(process.execPath, ['--version']);
    symlinkSync(String(pid), lock());
    expect(await launch()).toBe('at your service');
    expect(existsSync(lock())).toBe(false);
  });

  it('leave no lock behind when a build fails', async () => {
    write('at-work/marker', '');
    await expect(launch()).rejects.toMatchObject({ code: 1 });
    expect(existsSync(lock())).toBe(false);
  });
});
