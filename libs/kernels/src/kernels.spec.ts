import { afterAll, describe, expect, it } from '@jest/globals';
import { openKernels } from './kernels.js';

const kernels = openKernels();
const context = kernels.createContext({ mode: 'exact', threads: 2 });
afterAll(() => context.free());

describe('openKernels', () => {
  it('says what it loaded', () => {
    expect(kernels.info).toMatchObject({ name: 'libsanctum_cpu', abi: 1 });
    expect(kernels.info.isas).toContain('portable');
    expect(kernels.info.isas[0]).toBe(kernels.info.isa);
    expect(context.isa).toBe(kernels.info.isa);
  });

  it('names a library that is not there', () => {
    expect(() => openKernels('/nowhere/libsanctum_cpu.so')).toThrow(/no native library at/);
  });

  it('refuses a file that is no library', () => {
    expect(() => openKernels(import.meta.filename)).toThrow(/Cannot load the native library/);
  });
});

describe('a small program', () => {
  it('embeds, multiplies and returns logits', () => {
    const table = context.createTensor({
      type: 'f32',
      shape: [3, 2],
      data: Float32Array.of(1, 2, 3, 4, 5, 6),
    });
    const weight = context.denseWeight(table);
    const program = context.beginProgram({ maxStepTokens: 8, maxPositions: 16 });
    const x = program.buffer(2);
    program.embed(weight, x);
    program.logits(weight, x);
    program.end();
    const sequence = program.createSequence();
    program.step([{ sequence, tokens: [0, 2], logits: 'all' }]);
    expect(program.rows).toBe(2);
    expect([...program.readLogits(0)]).toEqual([5, 11, 17]);
    expect([...program.readLogits(1)]).toEqual([17, 39, 61]);
    expect(program.sample(1)).toMatchObject({ token: 2 });
    expect(sequence.length).toBe(2);
  });
});
