import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { EngineProcess } from './testing/engine-process.js';
import { sealModel, type SealedModel } from './testing/sealed-model.js';

const NAN_BF16 = 0x7fc0;
/** Its scales turn one of 192 values of the second of eight layers into NaN. */
const TENSOR = 'language_model.model.layers.1.linear_attn.out_proj.scales';

let root: string;
let model: SealedModel;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'sanctum-damaged-'));
  model = await sealModel(root, (dir) => {
    const file = join(dir, 'model.safetensors');
    const bytes = readFileSync(file);
    const headerBytes = Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes)) as Record<
      string,
      { data_offsets: [number, number] }
    >;
    bytes.writeUInt16LE(NAN_BF16, 8 + headerBytes + (header[TENSOR]?.data_offsets[0] ?? NaN));
    writeFileSync(file, bytes);
  });
});
afterAll(() => {
  rmSync(root, { recursive: true });
});

it.each(['fast', 'exact'])('weights that hold NaN are not served in %s mode', async (mode) => {
  const engine = EngineProcess.spawn([...model.flags, '--compute-mode', mode]);
  expect((await engine.exited).code).toBe(1);
  expect(engine.stderr).toMatch(/The weights do not compute \(sample: logit \d+ is NaN\)/);
});
