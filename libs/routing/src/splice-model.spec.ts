import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { findModelField, prepareModel, spliceModel } from './splice-model.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (body: Uint8Array): string => new TextDecoder().decode(body);
const splice = (body: string, model: string): string =>
  text(spliceModel(bytes(body), findModelField(bytes(body)), prepareModel(model)));

describe('spliceModel', () => {
  it.each([
    ['{"model":"a","n":1.0}', '{"model":"zed","n":1.0}'],
    ['{ "n" : 1.00 , "model" : "a" }', '{ "n" : 1.00 , "model" : "zed" }'],
    ['{"x":{"model":"keep"},"model":null}', '{"x":{"model":"keep"},"model":"zed"}'],
    [
      '{"a":"\\"model\\":\\"x\\"\\\\","model":"b"}',
      '{"a":"\\"model\\":\\"x\\"\\\\","model":"zed"}',
    ],
    ['{"model":"a","model":"b"}', '{"model":"zed","model":"zed"}'],
    ['{"mod\\u0065l":"a"}', '{"mod\\u0065l":"zed"}'],
    ['{"Model":"a"}', '{"model":"zed","Model":"a"}'],
    ['\n{ "a" : [1, {"model": "}"}] }\n', '\n{"model":"zed", "a" : [1, {"model": "}"}] }\n'],
    ['{}', '{"model":"zed"}'],
    ['{ }', '{"model":"zed" }'],
    ['{"model":"é\\ud83d\\ude00","b":"😀"}', '{"model":"zed","b":"😀"}'],
  ])('%s', (body, expected) => {
    expect(splice(body, 'zed')).toBe(expected);
  });

  it('returns the same bytes when the name is the same', () => {
    const body = bytes('{"model":"a"}');
    expect(spliceModel(body, findModelField(body), prepareModel('a'))).toBe(body);
  });

  it('escapes the new name', () => {
    expect(JSON.parse(splice('{"model":"a"}', 'q"\\😀'))).toEqual({ model: 'q"\\😀' });
  });

  const others = fc.dictionary(fc.constantFrom('a', 'b"', 'é\\', 'modeL'), fc.jsonValue());
  const indent = fc.constantFrom(undefined, 1, '\t');

  const spelling = fc.record({ space: indent, model: fc.string() });

  it('changes model and no other byte, for any object in any spelling', () => {
    fc.assert(
      fc.property(others, fc.jsonValue(), spelling, (rest, old, { space, model }) => {
        const [first, ...more] = Object.entries(rest);
        const object = Object.fromEntries([...(first ? [first] : []), ['model', old], ...more]);
        const body = bytes(JSON.stringify(object, undefined, space));
        const spliced = spliceModel(body, findModelField(body), prepareModel(model));
        const expected: unknown = JSON.parse(JSON.stringify({ ...object, model }));
        expect(JSON.parse(text(spliced))).toEqual(expected);
        expect(withoutValues(spliced)).toBe(withoutValues(body));
      }),
    );
  });

  it('inserts a missing model and keeps every byte', () => {
    fc.assert(
      fc.property(others, indent, fc.string(), (object, space, model) => {
        const before = JSON.stringify(object, undefined, space);
        const after = splice(before, model);
        const field = `"model":${JSON.stringify(model)}${before === '{}' ? '' : ','}`;
        expect(after).toBe(`{${field}${before.slice(1)}`);
        const expected: unknown = JSON.parse(JSON.stringify({ ...object, model }));
        expect(JSON.parse(after)).toEqual(expected);
      }),
    );
  });

  it('finds a value behind ten megabytes of prompt', () => {
    const prompt = 'x"\\'.repeat(3_000_000);
    const body = bytes(JSON.stringify({ prompt, model: 'a' }));
    const spliced = spliceModel(body, findModelField(body), prepareModel('longer-name'));
    expect(spliced.length).toBe(body.length + 10);
    expect(text(spliced.subarray(-22))).toBe('"model":"longer-name"}');
  });
});

function withoutValues(body: Uint8Array): string {
  let kept = '';
  let from = 0;
  for (const { start, end } of findModelField(body).values) {
    kept += `${text(body.subarray(from, start))}|`;
    from = end;
  }
  return kept + text(body.subarray(from));
}
