import { SanctumError, type ErrorCode } from '@sanctum/errors';
import type { z } from 'zod';

type Issue = z.core.$ZodIssue;

const FOUND_CHARACTERS_MAX = 40;

/**
 * The value as the schema describes it, or `invalid_request` (or `code`) whose message reads
 * `path: expected …, found …` and whose `param` is the path. Only the first problem is reported.
 * Text found is cut to 40 characters, so that no prompt travels in an error.
 */
export function parseWith<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  code: ErrorCode = 'invalid_request',
): z.output<Schema> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  const issue = deepest(result.error.issues[0]);
  if (issue === undefined) throw new SanctumError('internal', 'a schema failed without an issue');
  const param = issue.path.length === 0 ? undefined : pathOf(issue.path);
  throw new SanctumError(
    code,
    `${param ?? 'body'}: expected ${expectedOf(issue)}, found ${foundOf(issue, value)}`,
    param === undefined ? {} : { param },
  );
}

/** `messages[0].content`, as OpenAI writes `param`. */
function pathOf(path: readonly PropertyKey[]): string {
  return path
    .map((part, at) =>
      typeof part === 'number' ? `[${part}]` : `${at === 0 ? '' : '.'}${String(part)}`,
    )
    .join('');
}

/** Of a union, the branch that got furthest says what is wrong. */
function deepest(issue: Issue | undefined): Issue | undefined {
  if (issue?.code !== 'invalid_union') return issue;
  const candidates = issue.errors
    .map((branch) => deepest(branch[0]))
    .filter((inner) => inner !== undefined)
    .map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }))
    .sort((a, b) => b.path.length - a.path.length);
  const best = candidates[0];
  return best !== undefined && best.path.length > issue.path.length ? best : issue;
}

/** A schema's own message says what is expected; without one it follows from the issue. */
function expectedOf(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return withArticle(issue.expected === 'int' ? 'integer' : issue.expected);
    case 'invalid_value':
      return oneOf(issue.values);
    case 'too_small':
      return `${issue.inclusive ? 'at least' : 'more than'} ${amount(issue.minimum, issue.origin)}`;
    case 'too_big':
      return `${issue.inclusive ? 'at most' : 'less than'} ${amount(issue.maximum, issue.origin)}`;
    case 'unrecognized_keys':
      return `no field ${issue.keys.map(quote).join(', ')}`;
    case 'invalid_key':
      return `a key that is ${issue.issues[0]?.message ?? 'valid'}`;
    default:
      return issue.message;
  }
}

function oneOf(values: readonly unknown[]): string {
  return `${values.length > 1 ? 'one of ' : ''}${values.map(quote).join(', ')}`;
}

function quote(value: unknown): string {
  return JSON.stringify(value);
}

function amount(limit: number | bigint, origin: string): string {
  const unit = { string: ' characters', array: ' entries', record: ' entries' }[origin] ?? '';
  return `${limit}${unit}`;
}

function withArticle(noun: string): string {
  return `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`;
}

function foundOf(issue: Issue, root: unknown): string {
  const input = at(root, issue.path);
  if (issue.code === 'too_small' || issue.code === 'too_big') {
    if (typeof input === 'string') return `${input.length}`;
    if (Array.isArray(input)) return `${input.length}`;
    if (isRecord(input)) return `${Object.keys(input).length}`;
  }
  return describe(input);
}

function at(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, part) =>
      isRecord(value) || Array.isArray(value) ? Reflect.get(value, part) : undefined,
    root,
  );
}

function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'an array';
  if (isRecord(value)) return 'an object';
  // JSON has no NaN and no infinity, and would call both null.
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'string') return quote(value);
  return quote(
    value.length > FOUND_CHARACTERS_MAX ? `${value.slice(0, FOUND_CHARACTERS_MAX)}…` : value,
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
