import { closeSync, fsyncSync, openSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { SanctumError } from '@sanctum/errors';
import { segmentPath } from './segments.js';

/** Appends to one segment and makes it durable; knows how far it is. */
export class SegmentWriter {
  readonly path: string;
  readonly first: number;
  readonly #handle: FileHandle;
  #bytes: number;
  /** A failed write could not be cut off. */
  #ragged = false;

  private constructor(place: { path: string; first: number }, handle: FileHandle, bytes: number) {
    this.path = place.path;
    this.first = place.first;
    this.#handle = handle;
    this.#bytes = bytes;
  }

  static async create(dir: string, first: number): Promise<SegmentWriter> {
    const path = segmentPath(dir, first);
    const handle = await open(path, 'a', 0o600);
    syncFolder(dir);
    return new SegmentWriter({ path, first }, handle, 0);
  }

  static async reopen(place: {
    readonly path: string;
    readonly first: number;
    readonly bytes: number;
  }): Promise<SegmentWriter> {
    return new SegmentWriter(place, await open(place.path, 'a', 0o600), place.bytes);
  }

  /** Length of what is durable. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Resolves when the bytes are on the disk. When it rejects, the file was cut back to what was
   * durable before (now, or by the next call), and the same bytes may be appended again. Rejects with
   * `ForeignWriterError` when somebody else has appended meanwhile.
   */
  async append(bytes: Uint8Array): Promise<void> {
    if (this.#ragged) await this.#cutBack();
    const { size } = await this.#handle.stat();
    if (size !== this.#bytes) {
      throw new ForeignWriterError(
        `${this.path} has ${size} bytes, not the ${this.#bytes} written here: another process ` +
          'writes to this chain. Give each service a home of its own.',
      );
    }
    try {
      let written = 0;
      while (written < bytes.length) {
        const { bytesWritten } = await this.#handle.write(bytes, written);
        written += bytesWritten;
      }
      await this.#handle.datasync();
      this.#bytes += bytes.length;
    } catch (error) {
      this.#ragged = true;
      await this.#cutBack().catch(() => undefined);
      throw error;
    }
  }

  async #cutBack(): Promise<void> {
    await this.#handle.truncate(this.#bytes);
    this.#ragged = false;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

export class ForeignWriterError extends SanctumError {
  constructor(message: string) {
    super('io', message);
  }
}

export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
