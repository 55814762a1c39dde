import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { readState, STATE_BYTES_MAX, writeState } from './state-file.js';

const schema = z.strictObject({ n: z.int() });

describe('a state file', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sanctum-state-'));
    path = join(folder, 'router', 'x.json');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('is read as it was written, and belongs to its owner only', async () => {
    expect(await readState(path, schema)).toEqual({ kind: 'absent' });
    await writeState(path, { n: 1 });
    await writeState(path, { n: 2 });
    expect(await readState(path, schema)).toEqual({ kind: 'read', state: { n: 2 } });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(folder, 'router'))).toEqual(['x.json']);
  });

  it('leaves the former state and no rest when it cannot be written', async () => {
    await writeState(path, { n: 1 });
    await expect(writeState(path, { n: 1n })).rejects.toThrow('BigInt');
    expect(await readState(path, schema)).toMatchObject({ state: { n: 1 } });
    expect(readdirSync(join(folder, 'router'))).toEqual(['x.json']);
  });

  it('is set aside when it is torn at any byte, or larger than any of ours', async () => {
    await writeState(path, { n: 123 });
    const whole = '{"n":123}';
    for (let end = 0; end < whole.length; end++) {
      writeFileSync(path, whole.slice(0, end));
      expect(await readState(path, schema)).toMatchObject({ kind: 'unreadable' });
      expect(await readState(path, schema)).toEqual({ kind: 'absent' });
    }
    writeFileSync(path, `{"n":1${' '.repeat(STATE_BYTES_MAX)}}`);
    expect(await readState(path, schema)).toMatchObject({ kind: 'unreadable' });
  });
});
