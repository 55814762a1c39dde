import type { z } from 'zod';

export type Path = readonly PropertyKey[];

export interface IssueContext {
  /** The parsed file, with canonical service names. */
  readonly value: unknown;
  /** A canonical path as the file spells it. */
  readonly spelled: (path: Path) => Path;
  readonly lineOf: (path: Path) => number;
}

const PROBLEMS_SHOWN_MAX = 20;
const FOUND_LENGTH_MAX = 80;

/** One line per problem: line, path, expected, found. */
export function describeIssues(
  issues: readonly z.core.$ZodIssue[],
  context: IssueContext,
): readonly string[] {
  const lines = issues.flatMap((issue) => describe(issue, [], context));
  const rest = lines.length - PROBLEMS_SHOWN_MAX;
  return rest > 0 ? [...lines.slice(0, PROBLEMS_SHOWN_MAX), `and ${rest} more`] : lines;
}

function describe(issue: z.core.$ZodIssue, above: Path, context: IssueContext): string[] {
  const path = [...above, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) =>
      line([...path, key], { what: 'unknown key', expected: issue.message, context }),
    );
  }
  if (issue.code === 'invalid_union') {
    const fitting = closestBranch(issue.errors);
    return fitting === undefined
      ? [line(path, { expected: issue.message, context })]
      : fitting.flatMap((inner) => describe(inner, path, context));
  }
  return [line(path, { expected: expectation(issue), context })];
}

/** The branch whose problems lie deepest is the one the author meant. */
function closestBranch(
  branches: readonly (readonly z.core.$ZodIssue[])[],
): readonly z.core.$ZodIssue[] | undefined {
  const typeMatched = branches.filter((branch) =>
    branch.every((issue) => issue.code !== 'invalid_type' || issue.path.length > 0),
  );
  return typeMatched[0] ?? branches[0];
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected;
    case 'too_small':
      return `at least ${issue.minimum}`;
    case 'too_big':
      return `at most ${issue.maximum}`;
    case 'invalid_value':
      return issue.values.map(String).join(' or ');
    default:
      return issue.message;
  }
}

function line(
  path: Path,
  { what, expected, context }: { what?: string; expected: string; context: IssueContext },
): string {
  const written = context.spelled(path);
  const found = valueAt(context.value, path);
  const prefix = `line ${context.lineOf(written)}: ${written.map(String).join('.') || '(top level)'}`;
  return what === undefined
    ? `${prefix}: expected ${expected}, found ${show(found)}`
    : `${prefix}: ${what}: expected ${expected}, found ${String(written.at(-1))}`;
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (node, key) =>
      typeof node === 'object' && node !== null && Object.hasOwn(node, key)
        ? Reflect.get(node, key)
        : undefined,
    value,
  );
}

/** A URL that is refused may hold credentials, also where no URL can have them: `u:a/b@host`. */
const CREDENTIALS = /:\/\/[^"]*@/g;

function show(value: unknown): string {
  if (value === undefined) {
    return 'nothing';
  }
  const json = typeof value === 'number' ? String(value) : JSON.stringify(value);
  const text = json.replace(CREDENTIALS, '://[scrubbed]@');
  return text.length > FOUND_LENGTH_MAX ? `${text.slice(0, FOUND_LENGTH_MAX)}…` : text;
}
