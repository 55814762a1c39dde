import { access, rename } from 'node:fs/promises';

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

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
