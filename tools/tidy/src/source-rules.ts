import type { Repo, RepoFile } from './repo.js';

/** `path:line message`, as an editor can follow. */
export type Finding = string;
export type Rule = (repo: Repo) => Finding[];

const LINES_MAX = { native: 700, script: 300, python: 400 } as const;
const NAMELESS = /(^|\/)(utils?|helpers?|common|misc)(\/|\.[a-z]+$)/;
const KEBAB = /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9-]+)*\.(ts|mts|mjs|cjs)$/;

export const filesAreNamedForANoun: Rule = ({ files }) =>
  code(files)
    .filter((file) => NAMELESS.test(file.path))
    .map((file) => `${file.path}: name the noun, not utils, helpers, common or misc`);

export const filesAreKebabCase: Rule = ({ files }) =>
  code(files)
    .filter((file) => !KEBAB.test(file.path.split('/').at(-1) ?? ''))
    .map((file) => `${file.path}: file names are kebab-case`);

export const indexFilesOnlyReExport: Rule = ({ files }) =>
  files
    .filter((file) => file.path.startsWith('libs/') && file.path.endsWith('/src/index.ts'))
    .filter((file) => !/^(\s*export (type )?\{[^}]*\}( from '[^']+')?;)*\s*$/.test(file.text))
    .map((file) => `${file.path}: an index holds named re-exports only`);

export const nothingIsLeftUnfinished: Rule = ({ files }) =>
  matches(code(files), /\b(TODO|FIXME|HACK|XXX)\b/, 'finish it, or write the issue');

export const testsRunAll: Rule = ({ files }) =>
  matches(
    specs(files),
    /\b(it|test|describe)\.(only|skip|todo)\b|\bx(it|describe)\(/,
    'a test runs or does not exist',
  );

export const testsDoNotSleep: Rule = ({ files }) =>
  matches(
    specs(files),
    /\bsleep\(|timers\/promises|new Promise[^\n]*setTimeout/,
    'wait on an event or an injected clock',
  );

export const exemptionsCarryAReason: Rule = ({ files }) =>
  matches(
    code(files),
    /(eslint-disable|@ts-expect-error|@ts-ignore|prettier-ignore)(?!.*-- \S)/,
    'an exemption says why: `-- reason`',
  );

export const linesAreClean: Rule = ({ files }) =>
  matches(files, /\r$|\t|[ \t]+$/, 'no tabs, carriage returns or trailing spaces').filter(
    (finding) => !/^(libs\/kernels\/native\/.*Makefile|docs\/|.*\.md:)/.test(finding),
  );

export const filesAreShort: Rule = ({ files }) =>
  files.flatMap((file) => {
    const max = linesMax(file.path);
    const count = file.text.split('\n').length - 1;
    return count > max ? [`${file.path}: ${count} lines, at most ${max}`] : [];
  });

export const noMachinePaths: Rule = ({ files }) =>
  matches(
    files.filter((file) => !file.path.startsWith('tools/tidy/')),
    /(^|[\s"'`(=])\/(work|root|home\/[a-z]+|Users\/[a-z]+)\//,
    'a path of one machine',
  );

export const noSecrets: Rule = ({ files, paths }) => [
  ...[...paths].filter((name) => name.endsWith('.key')).map((name) => `${name}: a key is tracked`),
  ...matches(
    files.filter((file) => !file.path.startsWith('tools/tidy/')),
    /-----BEGIN [A-Z ]*PRIVATE KEY-----\s*$/,
    'a private key',
  ),
];

function linesMax(name: string): number {
  if (/\.(cpp|hpp|h)$/.test(name)) return LINES_MAX.native;
  if (/\.(mjs|cjs)$/.test(name)) return LINES_MAX.script;
  if (name.endsWith('.py')) return LINES_MAX.python;
  return Infinity;
}

function code(files: readonly RepoFile[]): RepoFile[] {
  return files.filter(
    (file) => /\.(ts|mts|mjs|cjs)$/.test(file.path) && !file.path.startsWith('tools/tidy/'),
  );
}

function specs(files: readonly RepoFile[]): RepoFile[] {
  return code(files).filter((file) => /\.(spec|e2e)\.ts$/.test(file.path));
}

function matches(files: readonly RepoFile[], pattern: RegExp, message: string): Finding[] {
  return files.flatMap((file) =>
    file.text
      .split('\n')
      .flatMap((line, index) =>
        pattern.test(line) ? [`${file.path}:${index + 1}: ${message}: ${line.trim()}`] : [],
      ),
  );
}
