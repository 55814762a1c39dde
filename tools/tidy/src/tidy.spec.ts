import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import * as projectRules from './project-rules.js';
import { readRepo, type Repo } from './repo.js';
import * as sourceRules from './source-rules.js';

const rules = { ...sourceRules, ...projectRules };
const repo = readRepo(path.resolve(import.meta.dirname, '../../..'));

describe('the repository', () => {
  it.each(Object.entries(rules))('holds to %s', (_name, rule) => {
    expect(rule(repo)).toEqual([]);
  });
});

describe('each rule finds what it is for', () => {
  const bad: Record<keyof typeof rules, Repo> = {
    filesAreNamedForANoun: file('libs/x/src/utils.ts', ''),
    filesAreKebabCase: file('libs/x/src/fooBar.ts', ''),
    indexFilesOnlyReExport: file('libs/x/src/index.ts', "export * from './a.js';\n"),
    nothingIsLeftUnfinished: file('libs/x/src/a.ts', '// TODO later\n'),
    testsRunAll: file('libs/x/src/a.spec.ts', "it.only('x', () => {});\n"),
    testsDoNotSleep: file('libs/x/src/a.spec.ts', 'await new Promise((r) => setTimeout(r, 9));\n'),
    exemptionsCarryAReason: file('libs/x/src/a.ts', '// eslint-disable-next-line complexity\n'),
    linesAreClean: file('libs/x/src/a.ts', 'const a = 1; \n'),
    filesAreShort: file('tools/x/a.mjs', '\n'.repeat(301)),
    noMachinePaths: file('libs/x/src/a.ts', "const a = '/home/me/x';\n"),
    noSecrets: file('certs/ca.key', ''),
    topLevelIsFixed: file('scripts/run.sh', ''),
    projectsAreTagged: file('libs/x/package.json', '{"nx":{"tags":["scope:shared"]}}'),
    dependenciesAreExplained: file('libs/x/package.json', '{"dependencies":{"left-pad":"1"}}'),
    decisionsAreNumbered: file('docs/adr/first.md', '# A\n'),
    docsNameWhatExists: file('README.md', '# A\n\n`libs/nowhere`\n'),
    markdownHasOneTitle: file('README.md', 'no title\n'),
  };

  it.each(Object.entries(bad))('%s', (name, found) => {
    expect(rules[name as keyof typeof rules](found)).toHaveLength(1);
  });

  it('finds an nx target that does not exist', () => {
    expect(rules.docsNameWhatExists(file('README.md', '`npx nx run-many -t fly`'))).toHaveLength(1);
    expect(rules.docsNameWhatExists(file('README.md', '`npx nx run-many -t lint test`'))).toEqual(
      [],
    );
  });
});

function file(name: string, text: string): Repo {
  return { files: [{ path: name, text }], paths: new Set([name]) };
}
