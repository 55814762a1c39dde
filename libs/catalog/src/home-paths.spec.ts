import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHome } from './home-paths.js';

describe('createHome', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sanctum-home-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });
  const modeOf = (path: string): number => statSync(path).mode & 0o777;

  it('makes folders that are the owner’s alone, and those above', () => {
    const paths = createHome(join(folder, 'deep/er'));
    expect([paths.home, paths.clients, paths.jetstream].map(modeOf)).toEqual([0o700, 0o700, 0o700]);
  });

  it('takes the bits of others from folders that exist', () => {
    const secrets = join(folder, 'secrets');
    mkdirSync(secrets);
    chmodSync(secrets, 0o755);
    createHome(folder);
    expect(modeOf(secrets)).toBe(0o700);
  });

  it('says so where there can be no folder, and changes nothing', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    chmodSync(file, 0o644);
    for (const home of [file, join(file, 'x'), '/proc/x', '/dev/null/x']) {
      expect(() => createHome(home)).toThrow(`The home ${home} cannot be made (`);
    }
    expect(modeOf(file)).toBe(0o644);
  });
});
