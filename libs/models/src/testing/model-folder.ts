import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { OpenFile } from '../open-file.js';

export const FIXTURES = path.resolve(import.meta.dirname, '../../fixtures');

/** Open files of a model folder, closed on dispose. */
export class ModelFolder implements Disposable {
  readonly files: OpenFile[];

  constructor(readonly folder: string) {
    this.files = readdirSync(folder).map((name) => {
      const fd = openSync(path.join(folder, name), 'r');
      return { name, fd, size: fstatSync(fd).size };
    });
  }

  file(name: string): OpenFile {
    const found = this.files.find((file) => file.name === name);
    if (found === undefined) throw new Error(`${this.folder} has no ${name}`);
    return found;
  }

  [Symbol.dispose](): void {
    for (const file of this.files) closeSync(file.fd);
  }
}

/** A model folder made for one test, removed on dispose. */
export class TemporaryModel extends ModelFolder {
  constructor(contents: Readonly<Record<string, string | Uint8Array>>) {
    const folder = mkdtempSync(path.join(tmpdir(), 'sanctum-model-'));
    for (const [name, content] of Object.entries(contents)) {
      writeFileSync(path.join(folder, name), content);
    }
    super(folder);
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    rmSync(this.folder, { recursive: true });
  }
}

export interface TensorSpec {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** A safetensors file as other writers make it: no padding, data at whatever offset follows. */
export function safetensors(tensors: Readonly<Record<string, TensorSpec>>): Uint8Array {
  let offset = 0;
  const header: Record<string, unknown> = {};
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.length] };
    offset += data.length;
  }
  return withHeader(
    JSON.stringify(header),
    Buffer.concat(Object.values(tensors).map((tensor) => tensor.data)),
  );
}

export function withHeader(header: string, data: Uint8Array = new Uint8Array()): Uint8Array {
  const text = Buffer.from(header);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([prefix, text, data]);
}

export function zeros(dtype: string, shape: readonly number[]): TensorSpec {
  const bytes = { F32: 4, U32: 4, BF16: 2, F16: 2, I64: 8 }[dtype] ?? 1;
  return { dtype, shape, data: new Uint8Array(shape.reduce((a, b) => a * b, bytes)) };
}
