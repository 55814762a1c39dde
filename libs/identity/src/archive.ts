import { access, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '@sanctum/catalog';

const ARCHIVED_CERTIFICATE = /\.crt\.revoked-(\d{4}-\d\d-\d\d)(?:\.\d+)?$/;

/**
 * Sets a file aside as `<name>.revoked-<date>`, with a count when there is one of that day, and
 * returns its new path. `name` is the path itself unless another is given.
 */
export async function archive(path: string, now: Date, name = path): Promise<string> {
  const base = `${name}.revoked-${now.toISOString().slice(0, 10)}`;
  let target = base;
  for (let count = 2; await exists(target); count += 1) target = `${base}.${count}`;
  await rename(path, target);
  return target;
}

/** Certificates that {@link archive} set aside in a folder, by path. */
export async function archivedIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown): string[] => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => ARCHIVED_CERTIFICATE.test(name)).map((name) => join(folder, name));
}

/** The day on which a certificate was set aside, its first moment; undefined for any other path. */
export function archivedOn(path: string): string | undefined {
  const day = ARCHIVED_CERTIFICATE.exec(path)?.[1];
  return day === undefined ? undefined : `${day}T00:00:00.000Z`;
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
