import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import path from 'node:path';
import js from '@eslint/js';
import nx from '@nx/eslint-plugin';
import tseslint from 'typescript-eslint';

/** Every project carries one scope and one type; an edge that is not in these tables is an error. */
const TYPES = {
  app: ['nest', 'adapter', 'domain', 'schema', 'util'],
  nest: ['nest', 'adapter', 'domain', 'schema', 'util'],
  adapter: ['adapter', 'domain', 'schema', 'util'],
  domain: ['domain', 'schema', 'util'],
  schema: ['schema', 'util'],
  util: ['util'],
  testing: ['nest', 'adapter', 'domain', 'schema', 'util', 'testing'],
  e2e: ['nest', 'adapter', 'domain', 'schema', 'util', 'testing'],
  tool: ['nest', 'adapter', 'domain', 'schema', 'util', 'testing'],
};
const SCOPES = {
  shared: ['shared'],
  engine: ['engine', 'shared'],
  router: ['router', 'shared'],
  operator: ['operator', 'shared'],
};
/**
 * Purity: a domain or schema library decides; it never reads, sends, spawns or waits. The table of
 * boundaries does not look at what Node brings, so that has a rule of its own.
 */
const PURE_TYPES = ['domain', 'schema'];
const EFFECTS = ['@nestjs/*', 'rxjs'];
const PURE_BUILTINS = ['util'];
const IMPURE_BUILTINS = builtinModules
  .filter((name) => !PURE_BUILTINS.includes(name))
  .flatMap((name) => [name, `node:${name}`]);

const depConstraints = [
  ...Object.entries(TYPES).map(([type, targets]) => ({
    sourceTag: `type:${type}`,
    onlyDependOnLibsWithTags: targets.map((target) => `type:${target}`),
    ...(PURE_TYPES.includes(type) ? { bannedExternalImports: EFFECTS } : {}),
    ...(type === 'adapter' ? { bannedExternalImports: ['@nestjs/*'] } : {}),
  })),
  ...Object.entries(SCOPES).map(([scope, targets]) => ({
    sourceTag: `scope:${scope}`,
    onlyDependOnLibsWithTags: targets.map((target) => `scope:${target}`),
  })),
];

const specs = ['**/*.spec.ts', '**/*.e2e.ts', '**/*.fixture.ts', '**/src/testing/**/*.ts'];
/** Specs may use the testing harness; the production rule above may not. */
const specConstraints = depConstraints.map((rule) =>
  rule.sourceTag.startsWith('type:')
    ? {
        ...rule,
        onlyDependOnLibsWithTags: [...rule.onlyDependOnLibsWithTags, 'type:testing'],
        bannedExternalImports: undefined,
      }
    : rule,
);
const boundaries = (constraints) => [
  'error',
  { enforceBuildableLibDependency: false, allow: [], depConstraints: constraints },
];

const pureSources = readdirSync(path.join(import.meta.dirname, 'libs'))
  .filter((name) => PURE_TYPES.some((type) => tagsOf(name).includes(`type:${type}`)))
  .map((name) => `libs/${name}/src/**/*.ts`);

function tagsOf(library) {
  const file = path.join(import.meta.dirname, 'libs', library, 'package.json');
  return JSON.parse(readFileSync(file, 'utf8')).nx?.tags ?? [];
}

export default tseslint.config(
  {
    ignores: [
      '**/dist',
      '**/out-tsc',
      '**/build',
      '**/node_modules',
      '.nx',
      '.sanctum',
      'docs-site/.vitepress/cache',
    ],
  },
  js.configs.recommended,
  {
    files: ['**/*.{ts,mts}'],
    extends: [...tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    plugins: { '@nx': nx },
    rules: {
      '@nx/enforce-module-boundaries': boundaries(depConstraints),
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
      '@typescript-eslint/consistent-type-imports': 'off',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      complexity: ['error', 12],
      'max-lines': ['error', { max: 300 }],
      'max-lines-per-function': ['error', { max: 70 }],
      'max-params': ['error', 3],
      'no-restricted-exports': ['error', { restrictDefaultExports: { direct: true } }],
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportAllDeclaration', message: 'Name what you export.' },
        {
          selector: "MemberExpression[object.name='process'][property.name='env']",
          message: 'Read the environment in src/env.ts only.',
        },
      ],
      eqeqeq: 'error',
    },
  },
  {
    files: pureSources,
    ignores: specs,
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: IMPURE_BUILTINS.map((name) => ({
            name,
            message: 'A domain or schema library decides; effects belong to an adapter.',
          })),
        },
      ],
      'no-restricted-globals': ['error', 'setTimeout', 'setInterval', 'setImmediate', 'fetch'],
    },
  },
  {
    files: ['**/src/env.ts'],
    rules: { 'no-restricted-syntax': 'off' },
  },
  {
    files: specs,
    rules: {
      '@nx/enforce-module-boundaries': boundaries(specConstraints),
      'max-lines': ['error', { max: 600 }],
      'max-lines-per-function': 'off',
      'no-restricted-syntax': [
        'error',
        {
          selector: "CallExpression[callee.object.name='jest'][callee.property.name=/mock/i]",
          message: 'Run the real thing or a fake program from @sanctum/testing.',
        },
        {
          selector: "MemberExpression[property.name='only']",
          message: 'A lone test does not land.',
        },
      ],
    },
  },
  {
    files: ['**/*.{mjs,cjs,js}'],
    languageOptions: {
      globals: Object.fromEntries(
        [
          'process',
          'console',
          'Buffer',
          'URL',
          'module',
          'require',
          'performance',
          'fetch',
          'setTimeout',
          'setImmediate',
          'AbortController',
          'TextDecoder',
          'structuredClone',
        ].map((name) => [name, 'readonly']),
      ),
    },
  },
);
