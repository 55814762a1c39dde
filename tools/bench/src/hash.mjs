// Hashing of two equal shards as the engine does it, against `openssl speed -evp sha256 -multi 2`:
//   node src/hash.mjs [--rounds 7] [--megabytes 1024]
// OpenSSL hashes one block in its cache again and again; a file must be copied out of the page cache
// first, which is what the ratio leaves to be gained.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { cache, machine, option, ratios, told } from './rounds.mjs';

const rounds = Number(option('rounds', '7'));
const megabytes = Number(option('megabytes', '1024'));
const SHARDS = 2;
const MEGABYTE = 1 << 20;

const manifest = path.resolve(import.meta.dirname, '../../../libs/manifest/dist/index.js');
if (!existsSync(manifest)) throw new Error('Build first: npx nx run-many -t build');
const { composeManifest } = await import(manifest);

const folder = path.join(cache, `shards-${megabytes}`);
mkdirSync(folder, { recursive: true });
for (let shard = 0; shard < SHARDS; shard += 1)
  ensureShard(path.join(folder, `shard-${shard}.bin`));

const ours = [];
const theirs = [];
await sanctum();
for (let round = 0; round < rounds; round += 1) {
  ours.push(await sanctum());
  theirs.push(openssl());
}
console.log(machine());
console.log(`sanctum  ${told(ours)} GB/s, ${SHARDS} shards of ${megabytes} MiB, page cache warm`);
console.log(`openssl  ${told(theirs)} GB/s, -multi ${SHARDS}, blocks of 16 KiB`);
console.log(`ratio    ${told(ratios(ours, theirs))}`);

async function sanctum() {
  const startedMs = performance.now();
  await composeManifest(folder, {});
  return (SHARDS * megabytes * MEGABYTE) / 1e6 / (performance.now() - startedMs);
}

function openssl() {
  const args = ['speed', '-evp', 'sha256', '-multi', String(SHARDS), '-seconds', '1'];
  const said = execFileSync('openssl', [...args, '-bytes', '16384'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const kilobytes = /^sha256\s+([\d.]+)k/im.exec(said)?.[1];
  if (kilobytes === undefined) throw new Error(`openssl said no figure:\n${said}`);
  return Number(kilobytes) / 1e6;
}

function ensureShard(file) {
  if (existsSync(file) && statSync(file).size === megabytes * MEGABYTE) return;
  const fd = openSync(file, 'w');
  for (let written = 0; written < megabytes; written += 1) writeSync(fd, randomBytes(MEGABYTE));
  closeSync(fd);
}
