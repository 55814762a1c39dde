import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHome, type HomePaths } from './home-paths.js';
import { parseInstance } from './load-instance.js';
import { readSecrets, SECRET_BYTES_MAX, secretNames } from './secret-files.js';

const SECRET = 'hunter2hunter2';
let home: HomePaths;

beforeEach(() => {
  home = createHome(mkdtempSync(join(tmpdir(), 'sanctum-secrets-')));
});

afterEach(() => rmSync(home.home, { recursive: true, force: true }));

function put(name: string, text: string, mode = 0o600): string {
  const file = join(home.secrets, name);
  writeFileSync(file, text);
  // Not when it is made, where the umask has a say.
  chmodSync(file, mode);
  return file;
}

describe('secret files', () => {
  it('are those that instance.yaml names, each once', () => {
    const backends = {
      a: { url: 'http://127.0.0.1:1/v1', api_key_env: 'A_KEY' },
      b: {
        url: 'http://127.0.0.1:1/v1',
        api_key_env: 'A_KEY',
        fallback_urls: [{ url: 'https://example.org/v1', api_key_env: 'B_KEY' }],
      },
    };
    const text = JSON.stringify({ instance: { name: 'x' }, services: { router: { backends } } });
    expect(secretNames(parseInstance(text, '/x/instance.yaml'))).toEqual(['A_KEY', 'B_KEY']);
  });

  it('are read without their line feed; what has no file is left out', () => {
    put('A_KEY', `${SECRET}\n`);
    expect(readSecrets(home, ['A_KEY', 'B_KEY'])).toEqual({ A_KEY: SECRET });
  });

  it.each([
    ['group may read', () => put('A_KEY', SECRET, 0o640), /can be read by others: run chmod 600/],
    ['all may read', () => chmodSync(put('A_KEY', SECRET), 0o604), /can be read by others/],
    ['is empty', () => put('A_KEY', '\n'), /does not hold one line/],
    ['has two lines', () => put('A_KEY', `${SECRET}\n${SECRET}\n`), /does not hold one line/],
    ['is too long', () => put('A_KEY', 'x'.repeat(SECRET_BYTES_MAX + 1)), /larger than 8192 bytes/],
    ['is a folder', () => mkdirSync(join(home.secrets, 'A_KEY')), /is no plain file/],
    [
      'is a link',
      () => symlinkSync(put('other', SECRET), join(home.secrets, 'A_KEY')),
      /cannot be read: ELOOP/,
    ],
  ])('are refused when one %s, without a word of it', (_what, make, message) => {
    make();
    let said = '';
    try {
      readSecrets(home, ['A_KEY']);
    } catch (error) {
      said = String(error);
    }
    expect(said).toMatch(message);
    expect(said).not.toContain(SECRET);
  });
});
