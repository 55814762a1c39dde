import { homedir } from 'node:os';
import { z } from 'zod';
import { resolveFrom } from './home-paths.js';

/** An object that knows its keys: an unknown one is reported with what would be accepted. */
export function section<const S extends z.core.$ZodLooseShape>(shape: S) {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys' ? `one of ${Object.keys(shape).join(', ')}` : undefined,
  });
}

/** A file path, made absolute against the folder of instance.yaml. */
export function filePath(base: string) {
  return z
    .string()
    .min(1)
    .transform((path) => resolveFrom(base, path, homedir()));
}

export const port = z.int().min(0).max(65_535);
export const host = z.string().regex(/^[A-Za-z0-9.:_-]{1,253}$/, 'a host name or address');
export const seconds = z.number().positive().max(86_400);
export const megabytes = z.int().min(1).max(1_048_576);
export const count = z.int().min(1).max(1_000_000_000);
/** Names of backends, models and identities as they appear in headers and metrics. */
export const slug = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/, 'letters, digits and . _ : / -, up to 128');
export const environmentName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'the name of an environment variable, never the key itself');

/** Certificates named here are required; those found by convention are used when present. */
export function listenerTls(base: string) {
  return section({
    hosts: z.array(host).min(1).max(16).default(['127.0.0.1']),
    port,
    ca: filePath(base).exactOptional(),
    cert: filePath(base).exactOptional(),
    key: filePath(base).exactOptional(),
  });
}
