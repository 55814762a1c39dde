#!/usr/bin/env node
import { CommanderError } from 'commander';
import { isSanctumError, messageOf } from '@sanctum/errors';
import { readEnvironment } from './env.js';
import { EXIT } from './exit-codes.js';
import { locateSite } from './instance/site.js';
import { createProgram } from './program.js';
import { Terminal } from './terminal/terminal.js';

const environment = readEnvironment();
const program = createProgram({
  terminal: new Terminal(process.stdout),
  site: ({ home }) => locateSite(environment, home),
  fail: (code) => {
    process.exitCode = code;
  },
});

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
  process.stderr.write(`sanctumctl: ${messageOf(error)}\n`);
  if (defect) {
    process.stderr.write(`${error.stack ?? ''}\n`);
  }
  return program.args[0] === 'doctor' ? EXIT.doctorBroken : EXIT.failed;
}
