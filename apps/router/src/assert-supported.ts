import type { RouterSection } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';

const BACKEND_FIELDS = ['strip_thinking'] as const;

/**
 * Refuses settings that this version does not act on: an operator who sets a limit or a listener
 * must not believe in it. Throws `config_invalid` naming the first one.
 */
export function assertSupported(section: RouterSection): void {
  const found = [
    ...Object.entries(section.backends).flatMap(([name, backend]) =>
      BACKEND_FIELDS.filter((field) => backend[field] !== undefined).map(
        (field) => `backends.${name}.${field}`,
      ),
    ),
  ];
  const [first] = found;
  if (first === undefined) return;
  const setting = `services.router.${first}`;
  throw new SanctumError(
    'config_invalid',
    `${setting} is not supported by this version of the router; remove it.`,
    { param: setting },
  );
}
