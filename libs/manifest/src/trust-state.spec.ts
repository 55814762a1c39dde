import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHome, type HomePaths } from '@sanctum/catalog';
import { SERVED_DIGESTS_MAX, SERVED_MODELS_MAX, TrustState } from './trust-state.js';

const KEY = 'a'.repeat(16);
let home: HomePaths;

beforeEach(() => {
  home = createHome(mkdtempSync(join(tmpdir(), 'sanctum-trust-')));
});

afterEach(() => rmSync(home.home, { recursive: true, force: true }));

function serve(version: number, model = 'tiny'): void {
  const digest = version.toString(16).padStart(64, '0');
  const header = { model, version };
  TrustState.open(home).recordServed({ model, header, digest, keyId: KEY, source: 'm' });
}

describe('TrustState', () => {
  it('remembers what was served, and is new only once', () => {
    expect(TrustState.open(home).isNew).toBe(true);
    serve(3);
    serve(5);
    serve(4);
    const state = TrustState.open(home);
    expect(state.isNew).toBe(false);
    expect(state.served('tiny')?.versions).toEqual({ [KEY]: 5 });
    expect(state.served('tiny')?.digests.map((digest) => Number(`0x${digest}`))).toEqual([3, 5, 4]);
    expect(state.served('toString')).toBeUndefined();
  });

  it('keeps both files private, and writes nothing when nothing changes', () => {
    serve(3);
    for (const file of [home.manifestTrustFile, home.manifestTrustKey]) {
      expect(statSync(file).mode & 0o777).toBe(0o600);
    }
    const before = readFileSync(home.manifestTrustFile, 'utf8');
    serve(3);
    expect(readFileSync(home.manifestTrustFile, 'utf8')).toBe(before);
  });

  it('forgets the oldest digests, and refuses more models than it remembers', () => {
    const state = TrustState.open(home);
    const record = (model: string, index: number) => {
      const digest = index.toString(16).padStart(64, '0');
      state.recordServed({ model, header: {}, digest, keyId: KEY, source: 'm' });
    };
    for (let index = 0; index <= SERVED_DIGESTS_MAX; index += 1) record('tiny', index);
    expect(state.served('tiny')?.digests).toHaveLength(SERVED_DIGESTS_MAX);
    for (let index = 1; index < SERVED_MODELS_MAX; index += 1) record(`m${index}`, 1);
    expect(() => record('one-more', 1)).toThrow(/remembers 256 models/);
  });

  it.each([
    ['the state is deleted', () => rmSync(home.manifestTrustFile), /trust\.json is gone/],
    ['its key is deleted', () => rmSync(home.manifestTrustKey), /trust\.key is gone/],
    [
      'a version is lowered by hand',
      () => edit(home.manifestTrustFile, (text) => text.replace(': 5', ': 4')),
      /trust\.json was altered/,
    ],
    [
      'a digest is added by hand',
      () =>
        edit(home.manifestTrustFile, (text) =>
          text.replace('0005"', '0005", "' + 'f'.repeat(64) + '"'),
        ),
      /was altered/,
    ],
    [
      'the state is cut',
      () => edit(home.manifestTrustFile, (text) => text.slice(0, 40)),
      /cannot be read as what it is/,
    ],
    ['the state is emptied', () => writeFileSync(home.manifestTrustFile, '{}'), /cannot be read/],
  ])('notices when %s', (_what, tamper, message) => {
    serve(5);
    tamper();
    expect(() => TrustState.open(home)).toThrow(message);
    expect(() => TrustState.open(home)).toThrow(/model trust --reset/);
  });

  it('notices a former state put back, though it was genuine once', () => {
    serve(3);
    const former = join(home.home, 'former.json');
    cpSync(home.manifestTrustFile, former);
    serve(4);
    serve(5);
    cpSync(former, home.manifestTrustFile);
    expect(() => TrustState.open(home)).toThrow(/is state 1, but 3 was the last/);
  });

  it('goes on after a crash between its two writes', () => {
    serve(3);
    const formerKey = readFileSync(home.manifestTrustKey);
    serve(4);
    writeFileSync(home.manifestTrustKey, formerKey);
    expect(TrustState.open(home).served('tiny')?.versions).toEqual({ [KEY]: 4 });
    // And before the very first state was written.
    serve(5);
    edit(home.manifestTrustKey, (text) => text.replace(/"sequence": \d+/, '"sequence": 0'));
    rmSync(home.manifestTrustFile);
    expect(TrustState.open(home).isNew).toBe(true);
  });

  it('starts anew when the operator says so', () => {
    serve(5);
    rmSync(home.manifestTrustFile);
    TrustState.startAnew(home).save();
    const state = TrustState.open(home);
    expect(state.models).toEqual({});
    expect(state.isNew).toBe(false);
    serve(1);
    rmSync(home.manifestTrustFile);
    expect(() => TrustState.open(home)).toThrow(/is gone/);
  });
});

function edit(file: string, change: (text: string) => string): void {
  const before = readFileSync(file, 'utf8');
  const after = change(before);
  expect(after).not.toBe(before);
  writeFileSync(file, after);
}
