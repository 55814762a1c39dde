import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openLog, rotateLog } from './log-file.js';
import { tailLog } from './log-tail.js';

let folder = '';
let file = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sanctum-log-'));
  file = join(folder, 'a.log');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('rotateLog', () => {
  const limits = { bytesMax: 10, filesMax: 2 };

  it('leaves small logs alone', async () => {
    expect(await rotateLog(file, limits)).toBe(false);
    writeFileSync(file, '1234567890');
    expect(await rotateLog(file, limits)).toBe(false);
  });

  it('keeps as many files as it may, and writers go on in the live one', async () => {
    const writer = openLog(file);
    for (const content of ['first-------', 'second------', 'third-------']) {
      writeSync(writer, content);
      expect(await rotateLog(file, limits)).toBe(true);
      expect(statSync(file).size).toBe(0);
    }
    writeSync(writer, 'live');
    closeSync(writer);
    expect(readFileSync(file, 'utf8')).toBe('live');
    expect(readFileSync(`${file}.1`, 'utf8')).toBe('third-------');
    expect(readFileSync(`${file}.2`, 'utf8')).toBe('second------');
    expect(existsSync(`${file}.3`)).toBe(false);
  });
});

describe('tailLog', () => {
  async function collect(lines: AsyncGenerator<string>, count: number): Promise<string[]> {
    const collected: string[] = [];
    for await (const line of lines) {
      collected.push(line);
      if (collected.length === count) {
        break;
      }
    }
    return collected;
  }

  it('gives the last lines and ends', async () => {
    writeFileSync(file, 'one\ntwo\nthree\nunfinished');
    const { signal } = new AbortController();
    expect(await collect(tailLog(file, { lines: 2, follow: false, signal }), 9)).toEqual([
      'two',
      'three',
      'unfinished',
    ]);
  });

  it('has nothing to say about a log that does not exist', async () => {
    const { signal } = new AbortController();
    const lines = tailLog(join(folder, 'none'), { lines: 5, follow: false, signal });
    expect(await collect(lines, 1)).toEqual([]);
  });

  it('follows what is written, across characters cut in two and a rotation', async () => {
    const bytes = Buffer.from('two ä\n');
    writeFileSync(file, Buffer.concat([Buffer.from('one\n'), bytes.subarray(0, 5)]));
    const abort = new AbortController();
    const lines = tailLog(file, { lines: 1, follow: true, signal: abort.signal });
    expect((await lines.next()).value).toBe('one');
    const second = lines.next();
    appendFileSync(file, bytes.subarray(5));
    expect((await second).value).toBe('two ä');
    const third = lines.next();
    await rotateLog(file, { bytesMax: 1, filesMax: 1 });
    appendFileSync(file, 'three\n');
    expect((await third).value).toBe('three');
    const ended = lines.next();
    abort.abort();
    expect((await ended).done).toBe(true);
  });
});
