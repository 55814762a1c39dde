// The gate: every check in the order a developer runs them, one line each, and a count at the end.
// usage: gate.mjs [--only STEP[,STEP]]
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { clearTimeout, setTimeout } from 'node:timers';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const reports = mkdtempSync(path.join(os.tmpdir(), 'sanctum-gate-'));
const bin = (name) => path.join(root, 'node_modules', '.bin', name);
/** Against a step that hangs: tests have taken 15 minutes on two cores that others used as well. */
const STEP_TIMEOUT_MS = 60 * 60_000;
const nx = (...args) => [bin('nx'), ...args, '--output-style=stream'];

/** Tests are never answered from a cache; what only reads sources may be. */
const STEPS = [
  { name: 'format', command: [bin('prettier'), '--check', '--log-level=warn', '.'] },
  { name: 'format-native', command: () => clangFormat() },
  { name: 'sync', command: nx('sync:check') },
  { name: 'native', command: nx('run-many', '-t', 'native') },
  { name: 'lint', command: nx('run-many', '-t', 'lint', '--parallel=2') },
  { name: 'typecheck', command: nx('run-many', '-t', 'typecheck', '--parallel=2') },
  { name: 'build', command: nx('run-many', '-t', 'build', '--parallel=2') },
  { name: 'test', command: nx('run-many', '-t', 'test', '--parallel=2', '--skip-nx-cache') },
  { name: 'sanitize', command: nx('run-many', '-t', 'native-sanitize', '--skip-nx-cache') },
  { name: 'arm64', command: nx('run-many', '-t', 'native-arm64', '--skip-nx-cache') },
  { name: 'e2e', command: nx('run-many', '-t', 'e2e', '--skip-nx-cache') },
  { name: 'docs', command: nx('run-many', '-t', 'docs') },
];

const steps = selectSteps(process.argv.slice(2));
const failedSteps = [];
let running;
// Steps run in groups of their own, so that an interrupt has to be passed on.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    if (running) process.kill(-running.pid, 'SIGKILL');
    process.exit(1);
  });
}
for (const step of steps) {
  const startedAt = performance.now();
  const code = await run(typeof step.command === 'function' ? step.command() : step.command);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(`gate: ${step.name} ${code === 0 ? 'ok' : `FAILED (exit ${code})`} in ${seconds} s`);
  if (code !== 0) failedSteps.push(step.name);
}
const tests = readReports();
rmSync(reports, { recursive: true, force: true });
// Said again at the end: of a long run, the end is what is kept and looked at.
for (const { name, message } of tests.failures) console.log(`gate: failed: ${name}\n${message}\n`);
if (failedSteps.length > 0) console.log(`gate: steps that failed: ${failedSteps.join(', ')}`);
if (tests.skipped > 0) console.log(`gate: ${tests.skipped} tests were skipped; see above`);
const passed = tests.passed + steps.length - failedSteps.length;
const failed = tests.failed + failedSteps.length;
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && tests.passed > 0 ? 0 : 1);

function selectSteps(args) {
  const at = args.indexOf('--only');
  if (at < 0) return STEPS;
  const names = (args[at + 1] ?? '').split(',');
  const unknown = names.filter((name) => !STEPS.some((step) => step.name === name));
  if (unknown.length > 0) {
    const known = STEPS.map((step) => step.name).join(', ');
    console.error(`gate: unknown step ${unknown.join(', ')}; the steps are ${known}`);
    process.exit(2);
  }
  return STEPS.filter((step) => names.includes(step.name));
}

function run([file, ...args]) {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      detached: true,
      env: {
        ...process.env,
        CI: 'true',
        NX_DAEMON: 'false',
        NX_TUI: 'false',
        SANCTUM_TEST_REPORTS: reports,
        NODE_NO_WARNINGS: '1',
        FORCE_COLOR: '0',
      },
    });
    running = child;
    child.on('error', (error) => {
      console.error(error.message);
      resolve(127);
    });
    const timer = setTimeout(() => {
      console.error(`gate: no end after ${STEP_TIMEOUT_MS / 60_000} minutes, killed`);
      process.kill(-child.pid, 'SIGKILL');
    }, STEP_TIMEOUT_MS);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      running = undefined;
      resolve(code ?? signal);
    });
  });
}

function readReports() {
  const reportOf = (file) => JSON.parse(readFileSync(path.join(reports, file), 'utf8'));
  const all = readdirSync(reports).map(reportOf);
  const sum = (key) => all.reduce((total, report) => total + report[key], 0);
  return {
    passed: sum('passed'),
    failed: sum('failed'),
    skipped: sum('skipped'),
    failures: all.flatMap(({ failures }) => failures),
  };
}

function clangFormat() {
  const files = nativeSources(path.join(root, 'libs', 'kernels', 'native'));
  return [bin('clang-format'), '--dry-run', '--Werror', ...files];
}

function nativeSources(folder) {
  return readdirSync(folder).flatMap((name) => {
    const full = path.join(folder, name);
    if (statSync(full).isDirectory()) return nativeSources(full);
    return /\.(h|hpp|cpp|c)$/.test(name) ? [full] : [];
  });
}
