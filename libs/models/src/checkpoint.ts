import { SanctumError } from '@sanctum/errors';
import { isJsonObject, readJsonObject, type OpenFile } from './open-file.js';
import { readSafetensors, type TensorEntry } from './safetensors.js';
import { plainName } from './tensor-names.js';

/** A tensor of the language model where it lies; `name` is as stored, `plain` as looked up. */
export interface StoredTensor extends TensorEntry {
  readonly plain: string;
  readonly file: OpenFile;
}

const INDEX = 'model.safetensors.index.json';
const WEIGHTS = /^model.*\.safetensors$/;
/** How many names an error spells out. */
const NAMED_MAX = 8;

/**
 * All tensors of a model, from one file or many. Every tensor has to be taken exactly once, so that
 * a name this code does not know can never be passed over in silence.
 */
export class Checkpoint {
  /**
   * Whether the layout is Hugging Face's: convolutions [C, 1, K] and norms stored as w, used as
   * 1 + w. mlx-lm decides by the same sign.
   */
  readonly published: boolean;
  readonly #tensors = new Map<string, StoredTensor>();
  readonly #unknown: string[] = [];
  readonly #taken = new Set<string>();

  /** @throws model_invalid naming the file or tensor at fault */
  constructor(files: readonly OpenFile[]) {
    for (const file of weightFiles(files)) {
      for (const entry of readSafetensors(file)) this.#add(entry, file);
    }
    this.published = isPublished([...this.#tensors.values()]);
  }

  has(plain: string): boolean {
    return this.#tensors.has(plain);
  }

  /**
   * Hands out a tensor of the shape the configuration calls for.
   * @throws model_invalid when it is missing or misshaped
   */
  take(plain: string, shape: readonly number[]): StoredTensor {
    const tensor = this.#tensors.get(plain);
    if (tensor === undefined) {
      throw invalid(`tensor "${plain}" [${shape.join(', ')}] is missing`, plain);
    }
    if (tensor.shape.length !== shape.length || shape.some((size, i) => size !== tensor.shape[i])) {
      throw invalid(
        `${tensor.file.name}: tensor "${tensor.name}" has shape [${tensor.shape.join(', ')}], ` +
          `config.json calls for [${shape.join(', ')}]`,
        tensor.name,
      );
    }
    this.#taken.add(plain);
    return tensor;
  }

  /** @throws model_invalid naming tensors that nothing asked for */
  assertAllTaken(): void {
    const left = [...this.#tensors.values()]
      .filter((tensor) => !this.#taken.has(tensor.plain))
      .map((tensor) => tensor.name);
    const unused = [...this.#unknown, ...left];
    if (unused.length === 0) return;
    const more = unused.length > NAMED_MAX ? ` and ${unused.length - NAMED_MAX} more` : '';
    throw invalid(
      `no part of the model described by config.json uses ${unused
        .slice(0, NAMED_MAX)
        .map((name) => `"${name}"`)
        .join(', ')}${more}`,
      unused[0] ?? '',
    );
  }

  #add(entry: TensorEntry, file: OpenFile): void {
    const plain = plainName(entry.name);
    switch (plain.kind) {
      case 'skipped':
        return;
      case 'unknown':
        this.#unknown.push(entry.name);
        return;
      case 'text': {
        const first = this.#tensors.get(plain.name);
        if (first !== undefined) {
          throw invalid(
            `tensor "${entry.name}" of ${file.name} is also "${first.name}" of ${first.file.name}`,
            entry.name,
          );
        }
        this.#tensors.set(plain.name, { ...entry, plain: plain.name, file });
      }
    }
  }
}

/** The files the index names, or without an index every `model*.safetensors`. */
function weightFiles(files: readonly OpenFile[]): OpenFile[] {
  const weights = files.filter((file) => WEIGHTS.test(file.name));
  const index = files.find((file) => file.name === INDEX);
  if (index === undefined) {
    if (weights.length > 0) return weights;
    throw invalid('the model has no model*.safetensors file', 'model.safetensors');
  }
  const indexed = indexedFiles(index);
  const missing = [...indexed].find((name) => !files.some((file) => file.name === name));
  if (missing !== undefined)
    throw invalid(`${INDEX} names "${missing}", which is missing`, missing);
  const extra = weights.find((file) => !indexed.has(file.name));
  if (extra !== undefined) throw invalid(`${extra.name} is not named by ${INDEX}`, extra.name);
  return files.filter((file) => indexed.has(file.name));
}

function indexedFiles(index: OpenFile): Set<string> {
  const map = readJsonObject(index)['weight_map'];
  if (!isJsonObject(map)) throw invalid(`${INDEX}: weight_map must be an object`, INDEX);
  const names = Object.values(map);
  if (!names.every((name) => typeof name === 'string')) {
    throw invalid(`${INDEX}: weight_map must map tensors to file names`, INDEX);
  }
  return new Set(names);
}

function isPublished(tensors: readonly StoredTensor[]): boolean {
  const convolutions = tensors.filter((tensor) => tensor.plain.endsWith('conv1d.weight'));
  const published = convolutions.filter((tensor) => tensor.shape.at(-1) !== 1);
  if (published.length === 0) return false;
  if (published.length === convolutions.length) return true;
  throw invalid(
    `some conv1d.weight are in Hugging Face layout ("${published[0]?.name ?? ''}"), others are not`,
    published[0]?.name ?? '',
  );
}

function invalid(problem: string, param: string): SanctumError {
  return new SanctumError('model_invalid', `${problem}.`, { param });
}
