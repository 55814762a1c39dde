import { SanctumError } from '@sanctum/errors';

export interface OrderedService {
  readonly name: string;
  readonly requires: readonly string[];
}

/**
 * Names in an order in which every service comes after all it requires; ties keep their order.
 *
 * @throws SanctumError `config_invalid` for a requirement nobody provides, or a cycle
 */
export function startOrder(services: readonly OrderedService[]): readonly string[] {
  const byName = new Map(services.map((service) => [service.name, service]));
  const done = new Set<string>();
  const visit = (name: string, path: readonly string[]): void => {
    const service = byName.get(name);
    if (service === undefined) {
      throw new SanctumError(
        'config_invalid',
        `Service ${path.at(-1) ?? name} requires ${name}, which is not enabled. ` +
          `Enable it in instance.yaml, or drop the requirement.`,
      );
    }
    if (path.includes(name)) {
      throw new SanctumError(
        'config_invalid',
        `Services require each other in a circle: ${[...path, name].join(' → ')}.`,
      );
    }
    if (!done.has(name)) {
      service.requires.forEach((requirement) => visit(requirement, [...path, name]));
      done.add(name);
    }
  };
  services.forEach((service) => visit(service.name, []));
  return [...done];
}
