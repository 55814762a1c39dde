// Compares the bits of all instruction sets of this machine, on random cases of every operation.
// With --arm64 on x86-64 Linux the arm64 library is then cross-compiled and run under qemu-user,
// with and without the dot-product instructions, and must print the very same results.
// Usage: node scripts/run-same-bits.mjs [--arm64] [seed] [rounds]
import { spawnSync } from 'node:child_process';
import { arch, platform } from 'node:process';
import { buildNative } from './build-native.mjs';

const SYSROOT = '/usr/aarch64-linux-gnu';
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const numbers = process.argv.slice(2).filter((argument) => /^\d+$/.test(argument));
const [seed = '1', rounds = '20'] = numbers;
/**
 * Processors to emulate, and the instruction sets the library must find on each. The second run is
 * there for the choice alone, its kernels having run in the first.
 */
const PROCESSORS = [
  { name: 'max', isas: 'neon-dotprod neon portable', rounds },
  { name: 'cortex-a57', isas: 'neon portable', rounds: String(Math.ceil(Number(rounds) / 5)) },
];

function run(file, args, env = {}) {
  const result = spawnSync(file, args, {
    encoding: 'utf8',
    maxBuffer: OUTPUT_BYTES_MAX,
    env: { ...process.env, ...env },
  });
  if (result.error) throw result.error;
  const lines = result.stdout.split('\n').filter((line) => line !== '');
  const remarks = lines.filter((line) => line.startsWith('#'));
  const cases = lines.filter((line) => !line.startsWith('#'));
  for (const line of remarks) console.log(line);
  if (result.status !== 0 || cases.length === 0) {
    throw new Error(`${file} failed (${result.status ?? result.signal}): ${result.stderr}`);
  }
  return { remarks, cases };
}

function found(...names) {
  return names.find((name) => !spawnSync(name, ['--version']).error);
}

function requireTools() {
  const emulator = found('qemu-aarch64', 'qemu-aarch64-static');
  if (emulator && found('aarch64-linux-gnu-g++')) return emulator;
  throw new Error(
    'This check cross-compiles for arm64 and runs under an emulator. Install both, on Debian and ' +
      'Ubuntu with: apt-get install g++-aarch64-linux-gnu qemu-user',
  );
}

async function compareArm64(here) {
  const emulator = requireTools();
  const program = await buildNative('same-bits-arm64');
  for (const { name, isas, rounds: count } of PROCESSORS) {
    console.log(`arm64, emulated ${name}:`);
    const args = ['-cpu', name, '-L', SYSROOT, program, seed, count];
    const there = run(emulator, args);
    if (there.remarks[0] !== `# instruction sets: ${isas}`) {
      throw new Error(`On ${name} the library should find: ${isas}`);
    }
    const at = there.cases.findIndex((line, index) => line !== here.cases[index]);
    if (at >= 0) {
      throw new Error(`arm64 differs:\n  ${there.cases[at]}\n  ${here.cases[at]} (this machine)`);
    }
    console.log(`${there.cases.length} cases equal to those of this machine`);
  }
}

try {
  console.log(`${arch}:`);
  const here = run(await buildNative('same-bits'), [seed, rounds]);
  if (process.argv.includes('--arm64') && arch !== 'arm64') {
    if (platform === 'linux') {
      await compareArm64(here);
    } else {
      console.log('arm64 was not emulated: qemu-user is for Linux');
    }
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
