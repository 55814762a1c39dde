import { describe, expect, it } from '@jest/globals';
import { Checkpoint } from './checkpoint.js';
import { safetensors, TemporaryModel, zeros, type TensorSpec } from './testing/model-folder.js';

const norm = 'model.norm.weight';

describe('Checkpoint', () => {
  it('finds a tensor under every layout of names', () => {
    for (const name of [
      norm,
      'language_model.model.norm.weight',
      'model.language_model.norm.weight',
    ]) {
      using model = single({ [name]: zeros('F32', [3]) });
      const checkpoint = new Checkpoint(model.files);
      expect(checkpoint.take('norm.weight', [3])).toMatchObject({ name, plain: 'norm.weight' });
      expect(checkpoint.has('norm.weight')).toBe(true);
      checkpoint.assertAllTaken();
    }
  });

  it('passes over the vision tower and multi-token prediction', () => {
    using model = single({
      'model.visual.blocks.0.attn.qkv.weight': zeros('F32', [3]),
      'vision_tower.patch_embed.weight': zeros('F32', [3]),
      'mtp.fc.weight': zeros('I64', [3]),
      'language_model.mtp.norm.weight': zeros('F32', [3]),
    });
    new Checkpoint(model.files).assertAllTaken();
  });

  it('names what is missing, misshaped and unused', () => {
    using model = single({
      [norm]: zeros('F32', [3]),
      'model.layers.0.linear_attn.a_log': zeros('F32', [2]),
    });
    const checkpoint = new Checkpoint(model.files);
    expect(() => checkpoint.take('layers.0.linear_attn.A_log', [2])).toThrow(
      'tensor "layers.0.linear_attn.A_log" [2] is missing.',
    );
    expect(() => checkpoint.take('norm.weight', [4])).toThrow(
      'model.safetensors: tensor "model.norm.weight" has shape [3], config.json calls for [4].',
    );
    expect(() => checkpoint.take('norm.weight', [3, 1])).toThrow(/calls for \[3, 1\]/);
    checkpoint.take('norm.weight', [3]);
    expect(() => checkpoint.assertAllTaken()).toThrow(/uses "model.layers.0.linear_attn.a_log"\.$/);
  });

  it('names tensors whose names it does not know, and counts the rest', () => {
    const names = Array.from({ length: 10 }, (_, index) => `rotary.${index}`);
    using model = single(Object.fromEntries(names.map((name) => [name, zeros('F32', [1])])));
    expect(() => new Checkpoint(model.files).assertAllTaken()).toThrow(/"rotary.0".*and 2 more/);
  });

  it('refuses one tensor stored twice', () => {
    using model = single({
      [norm]: zeros('F32', [3]),
      'language_model.model.norm.weight': zeros('F32', [3]),
    });
    expect(() => new Checkpoint(model.files)).toThrow(/is also "model.norm.weight"/);
  });

  it('tells the layout by the convolutions and refuses a mixture', () => {
    const conv = (index: number): string => `model.layers.${index}.linear_attn.conv1d.weight`;
    using published = single({ [conv(0)]: zeros('F32', [6, 1, 4]) });
    expect(new Checkpoint(published.files).published).toBe(true);
    using converted = single({ [conv(0)]: zeros('F32', [6, 4, 1]) });
    expect(new Checkpoint(converted.files).published).toBe(false);
    using mixed = single({
      [conv(0)]: zeros('F32', [6, 4, 1]),
      [conv(1)]: zeros('F32', [6, 1, 4]),
    });
    expect(() => new Checkpoint(mixed.files)).toThrow(
      /layers\.1\.linear_attn\.conv1d.*others are not/,
    );
  });

  it('reads several files with an index and without', () => {
    const shards = {
      'model-1.safetensors': safetensors({ [norm]: zeros('F32', [3]) }),
      'model-2.safetensors': safetensors({ 'lm_head.weight': zeros('F32', [3, 2]) }),
    };
    using loose = new TemporaryModel(shards);
    expect(new Checkpoint(loose.files).has('lm_head.weight')).toBe(true);
    using indexed = new TemporaryModel({ ...shards, ...index(Object.keys(shards)) });
    expect(new Checkpoint(indexed.files).has('lm_head.weight')).toBe(true);
  });

  it('refuses an index that does not match the files', () => {
    const weights = { 'model.safetensors': safetensors({ [norm]: zeros('F32', [3]) }) };
    using missing = new TemporaryModel({
      ...weights,
      ...index(['model.safetensors', 'model-2.safetensors']),
    });
    expect(() => new Checkpoint(missing.files)).toThrow(
      /names "model-2.safetensors", which is missing/,
    );
    using extra = new TemporaryModel({
      ...weights,
      'model-2.safetensors': '',
      ...index(['model.safetensors']),
    });
    expect(() => new Checkpoint(extra.files)).toThrow(/model-2.safetensors is not named/);
    using shapeless = new TemporaryModel({ ...weights, 'model.safetensors.index.json': '{}' });
    expect(() => new Checkpoint(shapeless.files)).toThrow(/weight_map must be an object/);
    using numbers = new TemporaryModel({
      ...weights,
      'model.safetensors.index.json': '{"weight_map":{"a":1}}',
    });
    expect(() => new Checkpoint(numbers.files)).toThrow(/weight_map must map/);
  });

  it('refuses a folder without weights', () => {
    using model = new TemporaryModel({ 'adapters.safetensors': '' });
    expect(() => new Checkpoint(model.files)).toThrow(/no model\*\.safetensors/);
  });
});

function single(tensors: Record<string, TensorSpec>): TemporaryModel {
  return new TemporaryModel({ 'model.safetensors': safetensors(tensors) });
}

function index(files: readonly string[]): Record<string, string> {
  const map = Object.fromEntries(files.map((file, at) => [`tensor.${at}`, file]));
  return { 'model.safetensors.index.json': JSON.stringify({ weight_map: map }) };
}
