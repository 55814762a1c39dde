import { InvalidArgumentError, type Command } from 'commander';
import { drillFailover } from './commands/drill-failover.js';
import { EXIT } from './exit-codes.js';
import { withHome, type Context, type HomeOption } from './command-options.js';

const ROUNDS_MAX = 20;

export function addDrillCommands(program: Command, { terminal, site, fail }: Context): void {
  const drill = program.command('drill').description('break something on purpose, and measure');
  withHome(drill.command('failover'))
    .description(
      'kill the primary of a backend under load, and bring it back (exit 1 when it cost)',
    )
    .option('--backend <name>', 'the default backend when left out')
    .option('--rounds <count>', `how often, up to ${ROUNDS_MAX}`, rounds, 1)
    .action(async (options: HomeOption & { backend?: string; rounds: number }) => {
      const interrupt = new AbortController();
      const stop = (): void => interrupt.abort(new Error('interrupted'));
      const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
      for (const signal of signals) process.on(signal, stop);
      try {
        const { backend, rounds: count } = options;
        const { outcome } = await drillFailover({
          site: site(options),
          terminal,
          backend,
          rounds: count,
          signal: interrupt.signal,
        });
        if (outcome !== 'passed') fail(EXIT.failed);
      } finally {
        for (const signal of signals) process.off(signal, stop);
      }
    });
}

function rounds(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= ROUNDS_MAX) return count;
  throw new InvalidArgumentError(`expected a whole number from 1 to ${ROUNDS_MAX}`);
}
