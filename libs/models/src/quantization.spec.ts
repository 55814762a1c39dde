import { describe, expect, it } from '@jest/globals';
import { parseQuantization, quantizationOf } from './quantization.js';

const affine = { bits: 4, group_size: 64, mode: 'affine' };

describe('parseQuantization', () => {
  it('reads defaults and overrides, by whichever path names the module', () => {
    const config = parseQuantization({
      quantization: {
        ...affine,
        'language_model.lm_head': { bits: 8, group_size: 32 },
        'model.layers.0.mlp.up_proj': false,
        'language_model.model.embed_tokens': true,
      },
    });
    expect(quantizationOf(config, 'lm_head')).toEqual({ bits: 8, groupSize: 32 });
    expect(quantizationOf(config, 'layers.0.mlp.up_proj')).toBe('dense');
    expect(quantizationOf(config, 'embed_tokens')).toEqual({ bits: 4, groupSize: 64 });
  });

  it('reads the copy that mlx-lm leaves for transformers', () => {
    const config = parseQuantization({ quantization_config: affine });
    expect(quantizationOf(config, 'lm_head')).toEqual({ bits: 4, groupSize: 64 });
  });

  it('says nothing about dense models', () => {
    expect(quantizationOf(parseQuantization({}), 'lm_head')).toBeUndefined();
  });

  const refused: [string, Record<string, unknown>, RegExp][] = [
    [
      'seven bits',
      { quantization: { ...affine, bits: 7 } },
      /quantization is .*2, 3, 4, 5, 6 or 8/,
    ],
    ['groups of 16', { quantization: { ...affine, group_size: 16 } }, /groups of 32, 64 or 128/],
    ['another mode', { quantization: { ...affine, mode: 'mxfp4' } }, /mxfp4/],
    ['a word', { quantization: 'int4' }, /quantization is "int4"/],
    ['an override of seven bits', { quantization: { ...affine, lm_head: { bits: 7 } } }, /lm_head/],
    ['an override that is null', { quantization: { ...affine, lm_head: null } }, /lm_head is null/],
    ['gptq', { quantization_config: { quant_method: 'gptq', bits: 4 } }, /quant_method is "gptq"/],
  ];
  it.each(refused)('refuses %s', (_, config, message) => {
    expect(() => parseQuantization(config)).toThrow(message);
  });
});
