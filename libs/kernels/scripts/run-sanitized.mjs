// Builds the fuzzing driver with ASan and UBSan and runs it.
// Usage: node scripts/run-sanitized.mjs [seed] [rounds]
import { spawnSync } from 'node:child_process';
import { buildNative } from './build-native.mjs';

const driver = await buildNative('sanitize');
const result = spawnSync(driver, process.argv.slice(2), { stdio: 'inherit' });
if (result.error) throw result.error;
process.exitCode = result.status ?? 1;
