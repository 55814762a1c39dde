// Builds the native library and the service bundles when a source changed since the last build.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const stampFile = path.join(root, '.nx', 'sanctum-build-stamp');
const bundles = ['engine', 'router', 'sanctumctl'].map((app) =>
  path.join(root, 'apps', app, 'dist', 'bundle', 'main.mjs'),
);

const stamp = sourceStamp();
if (bundles.every((file) => existsSync(file)) && stamp === readStamp()) process.exit(0);

process.stderr.write('Building the native library and the services (sources changed) ...\n');
const build = spawnSync(
  process.execPath,
  [path.join(root, 'node_modules', 'nx', 'dist', 'bin', 'nx.js'), 'run-many', '-t', 'build'],
  {
    cwd: root,
    env: { ...process.env, NX_DAEMON: 'false', NX_TUI: 'false' },
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  },
);
if (build.status !== 0) {
  process.stderr.write(
    `${build.stdout}\n${build.stderr}\nsanctumctl: the build failed, see above.\n`,
  );
  process.exit(1);
}
mkdirSync(path.dirname(stampFile), { recursive: true });
writeFileSync(stampFile, stamp);

function readStamp() {
  return existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : '';
}

/** Digest over path, size and modification time of everything a build reads. */
function sourceStamp() {
  const hash = createHash('sha256');
  for (const folder of ['apps', 'libs', 'tools/bundle']) walk(path.join(root, folder), hash);
  for (const file of ['package-lock.json', 'tsconfig.base.json']) add(path.join(root, file), hash);
  return hash.digest('hex');
}

function walk(folder, hash) {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (['node_modules', 'dist', 'out-tsc', 'build', 'fixtures'].includes(entry.name)) continue;
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) walk(full, hash);
    else if (!entry.name.endsWith('.spec.ts') && !entry.name.endsWith('.md')) add(full, hash);
  }
}

function add(file, hash) {
  const { size, mtimeMs } = statSync(file);
  hash.update(`${path.relative(root, file)}\0${size}\0${mtimeMs}\n`);
}
