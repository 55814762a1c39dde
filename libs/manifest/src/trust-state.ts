import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeFileAtomic, type HomePaths } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { z } from 'zod';
import { readSmallFile } from './small-file.js';
import type { Candidate, ServedRecord } from './trust-policy.js';

/** Digests remembered of each model, the most recent; an older one counts as never served. */
export const SERVED_DIGESTS_MAX = 64;
/** Models remembered. */
export const SERVED_MODELS_MAX = 256;

const KEY_BYTES = 32;
const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`));
const sequence = z.int().min(0);
const recordSchema = z.strictObject({
  versions: z.record(hex(16), z.int().min(0)),
  digests: z.array(hex(64)).max(SERVED_DIGESTS_MAX),
});
const contentSchema = z.strictObject({
  version: z.literal(1),
  /** Counts every change, so that a former state can be told from the present one. */
  sequence,
  models: z.record(z.string().min(1).max(128), recordSchema),
});
const stateSchema = z.strictObject({ content: contentSchema, mac: hex(64) });
const witnessSchema = z.strictObject({ key: hex(KEY_BYTES * 2), sequence });

type Content = z.output<typeof contentSchema>;
type Witness = z.output<typeof witnessSchema>;

/** The two files of the state: what was served, and the witness that it is the present one. */
export type TrustStateFiles = Pick<HomePaths, 'manifestTrustFile' | 'manifestTrustKey'>;

/**
 * What this machine has served, kept across restarts: `state/manifest-trust.json` under a MAC whose
 * key, with the count of changes, lies in `secrets/`. Losing either file, editing the state or
 * putting a former one back is noticed, and refused until the operator says so.
 */
export class TrustState {
  readonly #files: TrustStateFiles;
  #content: Content;
  #witness: Witness;
  #isNew: boolean;

  private constructor(files: TrustStateFiles, content: Content, witness: Witness | undefined) {
    this.#files = files;
    this.#content = content;
    this.#isNew = witness === undefined;
    this.#witness = witness ?? { key: randomBytes(KEY_BYTES).toString('hex'), sequence: 0 };
  }

  /** Throws `manifest_refused` when the state is lost, altered or not the latest. */
  static open(files: TrustStateFiles): TrustState {
    const { manifestTrustFile: file, manifestTrustKey: keyFile } = files;
    const present = { state: existsSync(file), witness: existsSync(keyFile) };
    if (!present.state && !present.witness) return TrustState.startAnew(files);
    if (!present.witness) throw distrusted(keyFile, 'is gone');
    const witness = parse(witnessSchema, keyFile);
    if (!present.state) {
      // The key is written before the very first state: a crash in between leaves it alone.
      if (witness.sequence === 0) return TrustState.startAnew(files);
      throw distrusted(file, 'is gone');
    }
    const { content, mac } = parse(stateSchema, file);
    if (!timingSafeEqual(Buffer.from(mac, 'hex'), macOf(content, witness.key))) {
      throw distrusted(file, 'was altered');
    }
    // The witness is written second: a crash between the two leaves it one behind.
    const ahead = content.sequence - witness.sequence;
    if (ahead !== 0 && ahead !== 1) {
      throw distrusted(file, `is state ${content.sequence}, but ${witness.sequence} was the last`);
    }
    return new TrustState(files, content, witness);
  }

  /** Forgets everything that was served; the operator's answer to a state that cannot be trusted. */
  static startAnew(files: TrustStateFiles): TrustState {
    return new TrustState(files, { version: 1, sequence: 0, models: {} }, undefined);
  }

  /** Nothing was ever recorded here. */
  get isNew(): boolean {
    return this.#isNew;
  }

  get sequence(): number {
    return this.#content.sequence;
  }

  get models(): Readonly<Record<string, ServedRecord>> {
    return this.#content.models;
  }

  served(model: string): ServedRecord | undefined {
    return Object.hasOwn(this.#content.models, model) ? this.#content.models[model] : undefined;
  }

  /** Notes that a manifest is being served; on disk when it returns. Throws `io`. */
  recordServed({ model, header, digest, keyId }: Candidate): void {
    const former = this.served(model);
    const versions = {
      ...former?.versions,
      [keyId]: Math.max(former?.versions[keyId] ?? 0, header.version ?? 0),
    };
    const digests = [...(former?.digests ?? []).filter((known) => known !== digest), digest];
    this.#keep(model, { versions, digests: digests.slice(-SERVED_DIGESTS_MAX) });
  }

  /** Writes the state as it is, so that its loss would be noticed. */
  save(): void {
    this.#write({ ...this.#content, sequence: this.#content.sequence + 1 });
  }

  #keep(model: string, record: z.output<typeof recordSchema>): void {
    const { models } = this.#content;
    if (!Object.hasOwn(models, model) && Object.keys(models).length >= SERVED_MODELS_MAX) {
      throw new SanctumError(
        'manifest_refused',
        `${this.#files.manifestTrustFile} remembers ${SERVED_MODELS_MAX} models already. ` +
          'Forget them with "sanctumctl model trust --reset".',
      );
    }
    if (JSON.stringify(models[model]) === JSON.stringify(record)) return;
    const sequence = this.#content.sequence + 1;
    this.#write({ version: 1, sequence, models: { ...models, [model]: record } });
  }

  #write(content: Content): void {
    const { manifestTrustFile, manifestTrustKey } = this.#files;
    const witness = { ...this.#witness, sequence: content.sequence };
    for (const file of [manifestTrustFile, manifestTrustKey]) {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    }
    if (this.#isNew) writeFileAtomic(manifestTrustKey, json({ ...witness, sequence: 0 }));
    const mac = macOf(content, witness.key).toString('hex');
    writeFileAtomic(manifestTrustFile, json({ content, mac }));
    writeFileAtomic(manifestTrustKey, json(witness));
    this.#content = content;
    this.#witness = witness;
    this.#isNew = false;
  }
}

function macOf(content: Content, key: string): Buffer {
  return createHmac('sha256', Buffer.from(key, 'hex')).update(canonical(content)).digest();
}

/** Members sorted by name: how the file was formatted does not count. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}

function parse<T extends z.ZodType>(schema: T, file: string): z.output<T> {
  try {
    return schema.parse(JSON.parse(readSmallFile(file, 'record').toString('utf8')));
  } catch (error) {
    throw distrusted(file, `cannot be read as what it is (${firstLine(messageOf(error))})`, error);
  }
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}

function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function distrusted(file: string, what: string, cause?: unknown): SanctumError {
  return new SanctumError(
    'manifest_refused',
    `${file} ${what}: what this machine has served before is unknown, so an older model could pass ` +
      'for a new one. Restore the file from a backup, or, if you know why, forget what was served ' +
      'with "sanctumctl model trust --reset".',
    { param: file, cause },
  );
}
