#!/usr/bin/env node
import { CommanderError } from 'commander';
import { errnoOf } from '@sanctum/catalog';
import { isSanctumError, messageOf, scrubText } from '@sanctum/errors';
import { readEnvironment } from './env.js';
import { EXIT } from './exit-codes.js';
import { locateSite } from './instance/site.js';
import { createProgram } from './program.js';
import { Terminal } from './terminal/terminal.js';

/** They keep services running: that nobody reads what they say must not end them. */
const KEEPERS = ['up', 'supervise', 'run-service'];

const environment = readEnvironment();
const program = createProgram({
  terminal: new Terminal(process.stdout),
  site: ({ home }) => locateSite(environment, home),
  fail: (code) => {
    process.exitCode = code;
  },
});

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error) => {
    // A pipe or a terminal that was closed.
    if (!['EPIPE', 'EIO'].includes(errnoOf(error) ?? '')) throw error;
    if (!KEEPERS.includes(program.args[0] ?? '')) process.exit();
  });
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

function report(error: unknown): number {
  if (error instanceof CommanderError) {
    return error.exitCode === 0 || error.code === 'commander.help' ? EXIT.ok : EXIT.usage;
  }
  const defect = !isSanctumError(error) && error instanceof Error;
  process.stderr.write(`sanctumctl: ${scrubText(messageOf(error))}\n`);
  if (defect) {
    process.stderr.write(`${scrubText(error.stack ?? '')}\n`);
  }
  return program.args[0] === 'doctor' ? EXIT.doctorBroken : EXIT.failed;
}
