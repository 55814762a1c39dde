import { parseWith } from '@sanctum/contracts';
import { SanctumError } from '@sanctum/errors';
import type { z } from 'zod';

type Issue = z.core.$ZodIssue;

/**
 * The body as the schema describes it. What the schema does not know is something a chat completion
 * cannot express, and is refused by name as `unsupported`; `reasons` says why for some fields.
 */
export function parseDialect<Schema extends z.ZodType>(
  schema: Schema,
  body: unknown,
  reasons: Readonly<Record<string, string>>,
): z.output<Schema> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = deepest(result.error.issues[0]);
  const param = issue === undefined ? undefined : paramOf(issue);
  const field = param?.split(/[.[]/)[0] ?? '';
  const reason = param === undefined ? undefined : (reasons[param] ?? reasons[field]);
  if (param !== undefined && (reason !== undefined || isUnknown(issue))) {
    throw new SanctumError(
      'unsupported',
      `${param}: ${reason ?? 'a backend that speaks chat completions cannot be asked for it'}.`,
      { param },
    );
  }
  return parseWith(schema, body);
}

function isUnknown(issue: Issue | undefined): boolean {
  return issue?.code === 'unrecognized_keys' || isOtherType(issue);
}

/** A `type` that is none of those known here. */
function isOtherType(issue: Issue | undefined): boolean {
  if (issue?.code === 'invalid_union') return 'discriminator' in issue;
  return issue?.code === 'invalid_value' && issue.path.at(-1) === 'type';
}

function paramOf(issue: Issue): string {
  const key = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  const last = isOtherType(issue) && issue.path.at(-1) !== 'type' ? 'type' : key;
  const path = last === undefined ? issue.path : [...issue.path, last];
  return path
    .map((part, at) =>
      typeof part === 'number' ? `[${part}]` : `${at === 0 ? '' : '.'}${String(part)}`,
    )
    .join('');
}

/** Of a union, the branch that got furthest says what is wrong. */
function deepest(issue: Issue | undefined): Issue | undefined {
  if (issue?.code !== 'invalid_union' || isOtherType(issue)) return issue;
  const [best] = issue.errors
    .flatMap((branch) => deepest(branch[0]) ?? [])
    .map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }))
    .sort((a, b) => depth(b) - depth(a));
  return best !== undefined && depth(best) > issue.path.length ? best : issue;
}

function depth(issue: Issue): number {
  return issue.path.length + (isUnknown(issue) && issue.path.at(-1) !== 'type' ? 1 : 0);
}
