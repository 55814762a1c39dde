import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { flattenConfig } from './model-config.js';
import { parseQwen35Config, QWEN3_5_LIMITS } from './qwen3-5-config.js';
import { FIXTURES } from './testing/model-folder.js';

const base = flattenConfig(read('nested-tied-q4g64'));

describe('parseQwen35Config', () => {
  it.each(readdirSync(FIXTURES))('reads %s', (name) => {
    const config = parseQwen35Config(flattenConfig(read(name)));
    expect(config.layerTypes).toContain('full_attention');
    expect(config.contextLength).toBe(512);
  });

  it('reads sizes, rotary settings and layer types', () => {
    expect(parseQwen35Config(base)).toMatchObject({
      hiddenSize: 128,
      tied: true,
      layerTypes: ['linear_attention', 'linear_attention', 'linear_attention', 'full_attention'],
      attention: { heads: 4, keyValueHeads: 2, headSize: 32, rotarySize: 8, ropeTheta: 10_000 },
      gatedDelta: { keyHeads: 2, valueHeads: 2, keySize: 32, valueSize: 32, kernel: 4 },
    });
  });

  it('derives layer types from the interval, and head size from the hidden size', () => {
    const rest = without('layer_types', 'head_dim');
    const config = parseQwen35Config({ ...rest, full_attention_interval: 2 });
    expect(config.layerTypes.filter((type) => type === 'full_attention')).toHaveLength(2);
    expect(config.attention.headSize).toBe(32);
  });

  it('reads rotary settings beside the rest, as older configurations have them', () => {
    const rest = without('rope_parameters');
    const config = parseQwen35Config({ ...rest, rope_theta: 5e6, partial_rotary_factor: 0.5 });
    expect(config.attention).toMatchObject({ ropeTheta: 5e6, rotarySize: 16 });
    expect(() => parseQwen35Config(rest)).toThrow(/rope_parameters\.rope_theta/);
  });

  it('takes a rope_scaling that scales nothing, and finds another in text_config', () => {
    const nested = (rope_scaling: unknown) =>
      flattenConfig({ text_config: { ...base, rope_scaling } });
    expect(parseQwen35Config(nested(null))).toEqual(parseQwen35Config(base));
    expect(parseQwen35Config(nested({ rope_type: 'default', mrope_section: [1, 1, 2] }))).toEqual(
      parseQwen35Config(base),
    );
    expect(() => parseQwen35Config(nested({ type: 'yarn' }))).toThrow(/rope_scaling\.type/);
  });

  const refused: [string, Record<string, unknown>, RegExp][] = [
    ['a missing size', { hidden_size: undefined }, /hidden_size/],
    ['a size that is a word', { hidden_size: 'big' }, /hidden_size/],
    ['no layers', { num_hidden_layers: 0 }, /num_hidden_layers/],
    ['a fraction', { vocab_size: 1.5 }, /vocab_size/],
    ['a vocabulary beyond the limit', { vocab_size: QWEN3_5_LIMITS.vocabSize + 1 }, /vocab_size/],
    ['heads that do not divide', { num_key_value_heads: 3 }, /num_key_value_heads: must divide/],
    ['value heads that do not divide', { linear_num_value_heads: 3 }, /linear_num_key_heads/],
    ['too few layer types', { layer_types: ['linear_attention'] }, /layer_types: must have/],
    ['an unknown layer type', { layer_types: Array(4).fill('mamba') }, /layer_types/],
    ['no linear layer', { layer_types: Array(4).fill('full_attention') }, /layer_types/],
    ['an odd rotary size', { head_dim: 12 }, /gives 3, not even/],
    ['scaled rotary embeddings', { rope_parameters: rope('yarn') }, /rope_parameters\.rope_type/],
    ['another rope_scaling', { rope_scaling: { type: 'yarn', factor: 4 } }, /rope_scaling\.type/],
    ['its later form', { rope_scaling: { rope_type: 'linear' } }, /rope_scaling\.rope_type/],
    ['a factor without a type', { rope_scaling: { factor: 4 } }, /rope_scaling\.factor/],
    ['biases', { attention_bias: true }, /attention_bias/],
    ['attention without a gate', { attn_output_gate: false }, /attn_output_gate/],
    ['another activation', { hidden_act: 'gelu' }, /hidden_act/],
    ['experts', { num_experts: 8 }, /num_experts/],
  ];
  it.each(refused)('refuses %s', (_, change, message) => {
    expect(() => parseQwen35Config({ ...base, ...change })).toThrow(message);
  });
});

function without(...keys: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(base).filter(([key]) => !keys.includes(key)));
}

function rope(type: string): object {
  return { rope_theta: 1e4, partial_rotary_factor: 0.25, rope_type: type };
}

function read(name: string): Record<string, unknown> {
  const text = readFileSync(`${FIXTURES}/${name}/config.json`, 'utf8');
  return JSON.parse(text) as Record<string, unknown>;
}
