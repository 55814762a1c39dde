import { SanctumError } from '@sanctum/errors';
import type { QuantizationBits, QuantizationGroup } from '@sanctum/kernels';
import { z } from 'zod';
import { isJsonObject } from './open-file.js';
import { plainName } from './tensor-names.js';

/** MLX affine: w = scale · code + bias, per group of consecutive inputs. */
export interface AffineQuantization {
  readonly bits: QuantizationBits;
  readonly groupSize: QuantizationGroup;
}

/** What config.json says about each module; modules go by plain names such as `lm_head`. */
export interface QuantizationConfig {
  readonly byDefault: AffineQuantization | undefined;
  readonly overrides: ReadonlyMap<string, AffineQuantization | 'dense'>;
}

const affine = z
  .object({
    bits: z.literal([2, 3, 4, 5, 6, 8]),
    group_size: z.literal([32, 64, 128]),
    mode: z.literal('affine').default('affine'),
  })
  .transform(({ bits, group_size }): AffineQuantization => ({ bits, groupSize: group_size }));

/**
 * Reads `quantization` (or its copy `quantization_config`) as mlx-lm writes it: defaults beside
 * per-module overrides keyed by module path, false meaning dense.
 * @throws unsupported for other quantisation methods, modes, bits or group sizes
 */
export function parseQuantization(config: Record<string, unknown>): QuantizationConfig {
  const found = config['quantization'] ?? config['quantization_config'];
  const overrides = new Map<string, AffineQuantization | 'dense'>();
  if (found === undefined) return { byDefault: undefined, overrides };
  if (!isJsonObject(found)) throw unsupported('quantization', found);
  const method = found['quant_method'];
  if (method !== undefined) throw unsupported('quantization_config.quant_method', method);
  for (const [path, value] of Object.entries(found)) {
    if (typeof value !== 'object' && typeof value !== 'boolean') continue;
    if (value === true) continue;
    const setting = value === false ? 'dense' : parseAffine(`quantization.${path}`, value);
    overrides.set(plainModule(path), setting);
  }
  return { byDefault: parseAffine('quantization', found), overrides };
}

/** What a module's stored tensors must be, by its plain name. */
export function quantizationOf(
  { byDefault, overrides }: QuantizationConfig,
  module: string,
): AffineQuantization | 'dense' | undefined {
  return overrides.get(module) ?? byDefault;
}

function parseAffine(where: string, value: unknown): AffineQuantization {
  const result = affine.safeParse(value);
  if (!result.success) throw unsupported(where, value, result.error);
  return result.data;
}

function plainModule(path: string): string {
  const plain = plainName(`${path}.weight`);
  return plain.kind === 'text' ? plain.name.slice(0, -'.weight'.length) : path;
}

function unsupported(where: string, value: unknown, cause?: unknown): SanctumError {
  return new SanctumError(
    'unsupported',
    `config.json: ${where} is ${JSON.stringify(value)}; supported is MLX affine quantisation with ` +
      `2, 3, 4, 5, 6 or 8 bits in groups of 32, 64 or 128.`,
    { cause, param: where },
  );
}
