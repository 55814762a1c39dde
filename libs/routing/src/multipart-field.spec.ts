import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { MULTIPART_LIMITS, multipartField } from './multipart-field.js';

const TYPE = 'multipart/form-data; boundary=XyZ';

function form(
  parts: readonly { name: string; value: string | Buffer; filename?: string }[],
): Buffer {
  const pieces = parts.flatMap(({ name, value, filename }) => [
    Buffer.from(
      `--XyZ\r\nContent-Disposition: form-data; name="${name}"` +
        `${filename === undefined ? '' : `; filename="${filename}"\r\nContent-Type: audio/wav`}\r\n\r\n`,
    ),
    Buffer.from(value),
    Buffer.from('\r\n'),
  ]);
  return Buffer.concat([...pieces, Buffer.from('--XyZ--\r\n')]);
}

const audio = { name: 'file', value: Buffer.from([0, 255, 13, 10, 45, 45]), filename: 'model.wav' };
const model = { name: 'model', value: 'whisper-1' };

describe('multipartField', () => {
  it.each([
    ['before the file', [model, audio]],
    ['after the file', [audio, model]],
    ['after another field', [{ name: 'language', value: 'de' }, audio, model]],
  ])('finds a field %s', (_name, parts) => {
    expect(multipartField(form(parts), TYPE, 'model')).toBe('whisper-1');
  });

  it('takes a quoted boundary', () => {
    const type = 'multipart/form-data; charset=utf-8; boundary="XyZ"';
    expect(multipartField(form([model]), type, 'model')).toBe('whisper-1');
  });

  it.each([
    ['a field that is absent', form([audio]), TYPE],
    ['a file of that name', form([{ ...audio, name: 'model' }]), TYPE],
    ['no boundary', form([model]), 'multipart/form-data'],
    ['another type', form([model]), 'application/json; boundary=XyZ'],
    ['a body cut off', form([audio, model]).subarray(0, 90), TYPE],
    ['an empty body', Buffer.alloc(0), TYPE],
  ])('is undefined for %s', (_name, body, type) => {
    expect(multipartField(body, type, 'model')).toBeUndefined();
  });

  it('holds each limit at its edge', () => {
    const { parts, valueBytes, headBytes } = MULTIPART_LIMITS;
    const of = (value: string): unknown =>
      multipartField(form([{ ...model, value }]), TYPE, 'model');
    expect(of('m'.repeat(valueBytes))).toHaveLength(valueBytes);
    expect(of('m'.repeat(valueBytes + 1))).toBeUndefined();
    const others = (count: number): Buffer =>
      form([...Array.from({ length: count }, () => ({ name: 'x', value: '1' })), model]);
    expect(multipartField(others(parts - 1), TYPE, 'model')).toBe('whisper-1');
    expect(multipartField(others(parts), TYPE, 'model')).toBeUndefined();
    const long = form([{ ...audio, filename: 'f'.repeat(headBytes) }, model]);
    expect(multipartField(long, TYPE, 'model')).toBeUndefined();
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (noise) => {
        const body = Buffer.concat([Buffer.from('--XyZ\r\n'), Buffer.from(noise)]);
        const found = multipartField(body, TYPE, 'model');
        expect(found === undefined || typeof found === 'string').toBe(true);
      }),
    );
  });
});
