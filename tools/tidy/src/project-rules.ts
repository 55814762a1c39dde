import type { Repo } from './repo.js';
import type { Rule } from './source-rules.js';

interface PackageJson {
  readonly name?: string;
  readonly dependencies?: Record<string, string>;
  readonly exports?: Record<string, unknown>;
  readonly nx?: { readonly tags?: readonly string[]; readonly targets?: Record<string, unknown> };
}

const SCOPES = ['shared', 'engine', 'router', 'operator'];
const TYPES = 'app nest adapter domain schema util testing e2e tool'.split(' ');
const INFERRED_TARGETS = ['compile', 'typecheck', 'lint', 'test', 'e2e'];
/** The top level of the house: what comes to it is a decision. */
const TOP_LEVEL = new Set([
  ...['apps', 'certs', 'deploy', 'docs', 'docs-site', 'libs', 'tools', '.ci', 'sanctumctl'],
  ...['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
  ...['package.json', 'package-lock.json', 'nx.json', 'tsconfig.json', 'tsconfig.base.json'],
  ...['eslint.config.mjs', 'jest.preset.cjs', '.prettierrc.json', '.prettierignore'],
  ...['.editorconfig', '.gitignore', '.npmrc'],
]);
const PROJECT = /^(apps|libs|tools)\/[a-z-]+\/package\.json$/;

export const topLevelIsFixed: Rule = ({ paths }) => {
  const names = new Set([...paths].map((name) => name.split('/', 1)[0] ?? ''));
  return [...names]
    .filter((name) => !TOP_LEVEL.has(name))
    .map((name) => `${name}: not of the top level that ARCHITECTURE.md shows`);
};

export const projectsAreTagged: Rule = (repo) =>
  projects(repo).flatMap(({ path, json }) => {
    const tags = json.nx?.tags ?? [];
    const expected =
      tags.length === 2 &&
      SCOPES.includes(tag(tags, 'scope:') ?? '') &&
      TYPES.includes(tag(tags, 'type:') ?? '');
    return expected ? [] : [`${path}: exactly one scope: and one type: tag from the tables`];
  });

/** One line a runtime dependency, so that each one is a decision somebody wrote down. */
export const dependenciesAreExplained: Rule = (repo) => {
  const page = repo.files.find((file) => file.path === 'docs/dependencies.md')?.text ?? '';
  return projects(repo)
    .filter(({ path }) => !path.startsWith('tools/'))
    .flatMap(({ path, json }) =>
      Object.keys(json.dependencies ?? {})
        .filter((name) => !name.startsWith('@sanctum/') && !page.includes(`\`${name}\``))
        .map((name) => `${path}: ${name} has no line in docs/dependencies.md`),
    );
};

export const decisionsAreNumbered: Rule = ({ files }) =>
  files
    .filter((file) => file.path.startsWith('docs/adr/'))
    .flatMap((file) => {
      const wellNamed = /^docs\/adr\/\d{4}-[a-z0-9-]+\.md$/.test(file.path);
      const headings = ['Context', 'Decision', 'Consequences'].filter(
        (heading) => !file.text.includes(`\n## ${heading}\n`),
      );
      if (wellNamed && headings.length === 0) return [];
      return [`${file.path}: NNNN-title.md with Context, Decision, Consequences`];
    });

/** Paths and nx targets that Markdown names in backticks exist. */
export const docsNameWhatExists: Rule = (repo) => {
  const folders = new Set(
    [...repo.paths].flatMap((name) =>
      name.split('/').map((_, depth, parts) => parts.slice(0, depth).join('/')),
    ),
  );
  const targets = new Set([
    ...INFERRED_TARGETS,
    ...projects(repo).flatMap(({ json }) => Object.keys(json.nx?.targets ?? {})),
  ]);
  return repo.files
    .filter((file) => file.path.endsWith('.md'))
    .flatMap((file) => [
      ...spans(file.text, /`((?:apps|libs|tools|deploy|docs|docs-site)\/[\w./-]+)`/g)
        .map((name) => name.replace(/\/$/, ''))
        .filter((name) => !repo.paths.has(name) && !folders.has(name))
        .map((name) => `${file.path}: ${name} does not exist`),
      ...spans(file.text, /nx (?:run-many|affected) -t ((?:[a-z][a-z-]*(?: (?=[a-z])|\b))+)/g)
        .flatMap((names) => names.trim().split(' '))
        .filter((name) => !targets.has(name))
        .map((name) => `${file.path}: nx target ${name} does not exist`),
    ]);
};

export const markdownHasOneTitle: Rule = ({ files }) =>
  files
    .filter((file) => file.path.endsWith('.md') && !file.path.startsWith('docs-site/index'))
    .filter((file) => outsideFences(file.text).filter((line) => /^# /.test(line)).length !== 1)
    .map((file) => `${file.path}: exactly one title`);

function outsideFences(text: string): string[] {
  let fenced = false;
  return text.split('\n').filter((line) => {
    if (line.startsWith('```')) fenced = !fenced;
    return !fenced;
  });
}

function spans(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '');
}

function tag(tags: readonly string[], prefix: string): string | undefined {
  return tags.find((name) => name.startsWith(prefix))?.slice(prefix.length);
}

function projects(repo: Repo): { path: string; json: PackageJson }[] {
  return repo.files
    .filter((file) => PROJECT.test(file.path) && !file.path.startsWith('tools/bench/'))
    .map((file) => ({ path: file.path, json: JSON.parse(file.text) as PackageJson }));
}
