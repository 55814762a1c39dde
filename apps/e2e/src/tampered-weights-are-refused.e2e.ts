import { cp, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { checkout, Instance, runProgram } from './instance.js';

describe('tampered weights are refused before a port opens', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'sanctum-tamper-'));
    await cp(path.join(checkout, 'deploy/models'), folder, { recursive: true });
  });

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('names the weight file in which one byte was flipped', async () => {
    const names = await readdir(path.join(folder, 'padawan'));
    const weights = names.find((name) => name.endsWith('.safetensors'));
    expect(weights).toBeDefined();
    await flipLastByte(path.join(folder, 'padawan', weights ?? ''));

    const { code, stdout, stderr } = await runProgram(process.execPath, [
      path.join(checkout, 'apps/engine/dist/bundle/main.mjs'),
      ...['--model', path.join(folder, 'padawan'), '--port', '0'],
      ...['--manifest', path.join(folder, 'padawan.manifest.sha256')],
      ...['--manifest-sig', path.join(folder, 'padawan.manifest.sha256.sig')],
      ...['--manifest-pubkey', path.join(checkout, 'deploy/trust/manifest-pubkey.ed25519')],
    ]);

    expect(code).not.toBe(0);
    expect(stdout + stderr).toContain(weights);
    expect(stdout).not.toContain('"msg":"ready"');

    const instance = await Instance.create();
    await instance.up();
    await instance.run('down');
    const file = path.join(instance.home, 'instance.yaml');
    const text = await readFile(file, 'utf8');
    const tampered = JSON.stringify(path.join(folder, 'padawan'));
    await writeFile(file, text.replace(/^( {4}model: ).*$/m, `$1${tampered}`));
    const refused = await instance.up();
    expect(refused.code).not.toBe(0);
    expect(refused.stderr + refused.stdout).toContain(`${weights ?? ''} does not have the hash`);
    expect(await instance.destroy()).toEqual([]);
  });
});

async function flipLastByte(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    const { size } = await handle.stat();
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, size - 1);
    byte[0] = (byte[0] ?? 0) ^ 1;
    await handle.write(byte, 0, 1, size - 1);
  } finally {
    await handle.close();
  }
}
