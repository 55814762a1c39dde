#!/usr/bin/env node
/**
 * Bundles an app: `node tools/bundle/bundle.mjs apps/<app>`, after `tsc --build` has compiled it.
 * esbuild sees the emitted JavaScript only: compiling decorated classes itself it would drop the
 * metadata that injection needs. What to bundle stands in the app's package.json:
 *
 *     "sanctum": { "bundle": {
 *       "entries": {
 *         "main": "out-tsc/lib/main.js",
 *         "hash-worker": "@sanctum/manifest/hash-worker"
 *       },
 *       "packages": ["koffi"],
 *       "native": "libs/kernels/build"
 *     } }
 *
 * entries   name of the bundle (`<name>.mjs`) and its entry: a path in the app, or a specifier. One
 *           that another reaches by `import()` stays apart, and is read when it is needed
 * packages  copied to `node_modules/` instead of bundled, with their installed dependencies
 * native    folder whose newest build's libraries are copied to `native/`
 *
 * Everything lands in `dist/bundle`, which replaces the former one in one rename.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { build } from 'esbuild';

const root = path.resolve(import.meta.dirname, '../..');
/** Nest asks for these and does without them. */
const OPTIONAL_PEERS = [
  '@fastify/multipart',
  '@fastify/static',
  '@fastify/view',
  '@nestjs/microservices',
  '@nestjs/microservices/*',
  '@nestjs/platform-express',
  '@nestjs/websockets',
  '@nestjs/websockets/*',
  'class-transformer',
  'class-transformer/*',
  'class-validator',
  'pino-pretty',
];
/** CommonJS inside the bundle calls require; in an ES module there is none. */
const REQUIRE_BANNER =
  "import { createRequire as __createRequire } from 'node:module';" +
  'const require = __createRequire(import.meta.url);';
const SOURCES = /\.(?:cc|hh|inc|c|h|md|txt)$|[\\/](?:doc|vendor)$/;
const LIBRARY = /^libsanctum_\w+\.(?:so|dylib)$/;

const [app] = process.argv.slice(2);
if (app === undefined) fail('Which app? node tools/bundle/bundle.mjs apps/<app>');
await bundle(path.resolve(root, app));

async function bundle(appFolder) {
  const { sanctum } = readJson(path.join(appFolder, 'package.json'));
  const { entries, packages = [], native } = sanctum?.bundle ?? {};
  if (entries === undefined) fail(`${appFolder}/package.json has no sanctum.bundle.entries`);
  const target = path.join(appFolder, 'dist/bundle');
  const staging = `${target}.${process.pid}`;
  mkdirSync(staging, { recursive: true });
  try {
    await bundleEntries({ appFolder, entries, packages, staging });
    for (const name of packages) copyPackage(name, appFolder, staging);
    if (native !== undefined) copyNative(path.join(root, native), staging);
    rmSync(target, { recursive: true, force: true });
    renameSync(staging, target);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  console.log(`${path.relative(root, target)}: ${readdirSync(target).join(', ')}`);
}

async function bundleEntries({ appFolder, entries, packages, staging }) {
  const { resolve } = createRequire(path.join(appFolder, 'package.json'));
  const inputs = Object.entries(entries).map(([name, entry]) => {
    const input = entry.startsWith('@') ? resolve(entry) : path.join(appFolder, entry);
    if (!existsSync(input)) fail(`${input} does not exist: compile first (nx run <app>:compile)`);
    return { in: input, out: name };
  });
  const result = await build({
    entryPoints: inputs,
    outdir: staging,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    // Node keeps a bundle's text in memory, twice as large when one character is beyond Latin-1.
    minifyWhitespace: true,
    lineLimit: 160,
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    external: [...OPTIONAL_PEERS, ...packages],
    banner: { js: REQUIRE_BANNER },
    plugins: [loadedWhenNeeded(inputs)],
    logLevel: 'warning',
  });
  if (result.warnings.length > 0) fail(`${result.warnings.length} warnings of esbuild`);
}

function loadedWhenNeeded(inputs) {
  return {
    name: 'loaded-when-needed',
    setup({ onResolve }) {
      onResolve({ filter: /^\./ }, ({ kind, path: specifier, resolveDir }) => {
        if (kind !== 'dynamic-import') return undefined;
        const entry = inputs.find((input) => input.in === path.resolve(resolveDir, specifier));
        return entry && { path: `./${entry.out}.mjs`, external: true };
      });
    },
  };
}

/** The package and what is installed of its dependencies; prebuilt binaries are optional ones. */
function copyPackage(name, from, staging) {
  const source = findPackage(name, from);
  if (source === undefined) return;
  const target = path.join(staging, 'node_modules', name);
  if (existsSync(target)) return;
  cpSync(source, target, { recursive: true, filter: (file) => !SOURCES.test(file) });
  const { dependencies = {}, optionalDependencies = {} } = readJson(`${source}/package.json`);
  for (const dependency of Object.keys({ ...dependencies, ...optionalDependencies })) {
    copyPackage(dependency, source, staging);
  }
}

function findPackage(name, from) {
  for (let folder = from; ; folder = path.dirname(folder)) {
    const candidate = path.join(folder, 'node_modules', name);
    if (existsSync(candidate)) return candidate;
    if (folder === path.dirname(folder)) return undefined;
  }
}

function copyNative(builds, staging) {
  const libraries = existsSync(builds)
    ? readdirSync(builds).flatMap((digest) => librariesIn(path.join(builds, digest)))
    : [];
  const newest = libraries.sort((a, b) => b.builtAtMs - a.builtAtMs)[0];
  if (newest === undefined) {
    fail(`No native library under ${builds}: node libs/kernels/scripts/build-native.mjs`);
  }
  for (const { folder, name } of libraries) {
    if (folder !== newest.folder) continue;
    cpSync(path.join(folder, name), path.join(staging, 'native', name));
  }
}

function librariesIn(folder) {
  if (!statSync(folder).isDirectory()) return [];
  return readdirSync(folder)
    .filter((name) => LIBRARY.test(name))
    .map((name) => ({ folder, name, builtAtMs: statSync(path.join(folder, name)).mtimeMs }));
}

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'));
}

function fail(message) {
  throw new Error(message);
}
