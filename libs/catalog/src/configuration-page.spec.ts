import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { instanceSchema } from './instance-schema.js';

const PAGE = new URL('../../../docs-site/configuration.md', import.meta.url);

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

/** Dotted paths of all that can be set: `<name>` for a name of one's own, `[]` for list entries. */
function settings(schema: Schema, path = ''): string[] {
  const below = (name: string, child: Schema): string[] =>
    settings(child, path === '' ? name : `${path}.${name}`);
  const { properties = {}, additionalProperties: named, items, anyOf = [], oneOf = [] } = schema;
  const found = [
    ...Object.entries(properties).flatMap(([name, child]) => below(name, child)),
    ...(typeof named === 'object' ? below('<name>', named) : []),
    ...(items === undefined ? [] : settings(items, `${path}[]`).filter((at) => at !== `${path}[]`)),
    ...[...anyOf, ...oneOf].flatMap((choice) => settings(choice, path)).filter((at) => at !== path),
  ];
  return found.length > 0 ? [...new Set(found)] : [path];
}

describe('the page about configuration', () => {
  const schema = z.toJSONSchema(instanceSchema('/'), { io: 'input', unrepresentable: 'any' });
  const expected = settings(schema as Schema);
  const rows = readFileSync(PAGE, 'utf8').matchAll(/^\| `([^`]+)`/gm);
  const listed = [...rows].map(([, path]) => path ?? '');

  it('lists every key, once, and none that is not there', () => {
    expect(expected).toContain('services.engine.limits.queue');
    expect(expected).toContain('services.router.backends.<name>.url');
    expect(listed.toSorted()).toEqual(expected.toSorted());
  });
});
