import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { eosTokenIdsOf, flattenConfig, modelTypeOf, parseConfig } from './model-config.js';

describe('flattenConfig', () => {
  it('lets root keys win, unless they are null', () => {
    const root = { a: 1, b: null, text_config: { a: 2, b: 3, c: 4 } };
    expect(flattenConfig(root)).toMatchObject({ a: 1, b: 3, c: 4 });
  });

  it('takes a flat configuration as it is', () => {
    expect(flattenConfig({ a: 1 })).toEqual({ a: 1 });
    expect(flattenConfig({ a: 1, text_config: null })).toEqual({ a: 1 });
  });
});

describe('modelTypeOf', () => {
  it('lists what is supported', () => {
    expect(modelTypeOf({ model_type: 'b' }, ['a', 'b'])).toBe('b');
    expect(() => modelTypeOf({ model_type: 'llama' }, ['a', 'b'])).toThrow(
      'config.json: model_type is "llama"; supported are a, b.',
    );
    expect(() => modelTypeOf({}, ['a'])).toThrow('model_type is missing; supported are a.');
    expect(() => modelTypeOf({ model_type: ['a'] }, ['a'])).toThrow('model_type is ["a"]');
  });
});

describe('parseConfig', () => {
  it('names every key at fault', () => {
    const schema = z.object({ hidden_size: z.int(), rope: z.object({ theta: z.number() }) });
    expect(() => parseConfig(schema, { hidden_size: 'x', rope: {} })).toThrow(
      /config\.json: hidden_size: .*; rope\.theta: /,
    );
  });
});

describe('eosTokenIdsOf', () => {
  it('prefers generation_config.json and takes one or several', () => {
    expect(eosTokenIdsOf({ eos_token_id: 1 }, undefined)).toEqual([1]);
    expect(eosTokenIdsOf({ eos_token_id: 1 }, { eos_token_id: [3, 2, 3] })).toEqual([3, 2]);
    expect(eosTokenIdsOf({ eos_token_id: 1 }, { eos_token_id: null })).toEqual([1]);
  });

  it("takes the tokenizer's where no configuration names one, and never goes without", () => {
    expect(eosTokenIdsOf({ eos_token_id: 1 }, {}, 4)).toEqual([1]);
    expect(eosTokenIdsOf({}, {}, 4)).toEqual([4]);
    expect(() => eosTokenIdsOf({}, {})).toThrow(/Add eos_token_id to generation_config\.json/);
    expect(() => eosTokenIdsOf({ eos_token_id: [] }, undefined)).toThrow(/No file says/);
  });

  it('refuses anything else', () => {
    expect(() => eosTokenIdsOf({ eos_token_id: 'x' }, undefined)).toThrow(/found "x"/);
    expect(() => eosTokenIdsOf({ eos_token_id: [-1] }, undefined)).toThrow(/found \[-1\]/);
  });
});
