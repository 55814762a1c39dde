import { CommanderError } from 'commander';
import { readEnvironment } from './env.js';
import { runEngine, startFailure } from './run-engine.js';
import { parseFlags } from './settings/flags.js';
import { resolveSettings } from './settings/settings.js';

const VERSION = '0.1.0';

try {
  const flags = parseFlags(process.argv.slice(2), VERSION);
  await runEngine(resolveSettings(flags, readEnvironment()), VERSION);
} catch (error) {
  if (error instanceof CommanderError) process.exit(error.exitCode);
  process.stderr.write(startFailure(error));
  process.exit(1);
}
