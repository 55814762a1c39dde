import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { buildSync } from 'esbuild';
import { replaceFile, writeFileAtomic } from './atomic-file.js';

const WRITERS = { writeFileAtomic, replaceFile };

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sanctum-atomic-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe.each(['writeFileAtomic', 'replaceFile'] as const)('%s', (name) => {
  const write = async (file: string, text: string): Promise<void> => WRITERS[name](file, text);

  it('replaces content and mode', async () => {
    const file = join(folder, 'state.json');
    writeFileSync(file, 'old', { mode: 0o644 });
    await write(file, 'new');
    expect(readFileSync(file, 'utf8')).toBe('new');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['state.json']);
  });

  it('leaves the old file whole and no temp file when the medium takes only a part', () => {
    const file = join(folder, 'state.json');
    writeFileSync(file, 'old');
    const program = join(folder, 'write.mjs');
    buildSync({
      entryPoints: [fileURLToPath(new URL('atomic-file.ts', import.meta.url))],
      outfile: program,
      bundle: true,
      format: 'esm',
      platform: 'node',
      conditions: ['@sanctum/source'],
    });
    const script = `
      import { ${name} } from ${JSON.stringify(program)};
      try {
        await ${name}(${JSON.stringify(file)}, 'x'.repeat(1_000_000));
        console.log('written');
      } catch (error) {
        console.log(error.code, error.message);
      }`;
    const limited = 'ulimit -f 64; exec "$0" --input-type=module -e "$1"';
    const output = execFileSync('bash', ['-c', limited, process.execPath, script], {
      encoding: 'utf8',
    });
    expect(output).toMatch(/^io .*was not written \(EFBIG.*the former content is untouched/);
    expect(readFileSync(file, 'utf8')).toBe('old');
    expect(readdirSync(folder).sort()).toEqual(['state.json', 'write.mjs']);
  });

  it('names the file when its folder is missing', async () => {
    await expect(write(join(folder, 'none', 'a'), 'x')).rejects.toThrow(/none\/a was not written/);
  });
});
