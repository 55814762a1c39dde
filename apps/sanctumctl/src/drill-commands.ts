import type { Command } from 'commander';
import { drillFailover } from './commands/drill-failover.js';
import { EXIT } from './exit-codes.js';
import { withHome, type Context, type HomeOption } from './command-options.js';

export function addDrillCommands(program: Command, { terminal, site, fail }: Context): void {
  const drill = program.command('drill').description('break something on purpose, and measure');
  withHome(drill.command('failover'))
    .description(
      'kill the primary of a backend under load, and bring it back (exit 1 when it cost)',
    )
    .option('--backend <name>', 'the default backend when left out')
    .action(async (options: HomeOption & { backend?: string }) => {
      const interrupt = new AbortController();
      const stop = (): void => interrupt.abort(new Error('interrupted'));
      const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
      for (const signal of signals) process.on(signal, stop);
      try {
        const { backend } = options;
        const { outcome } = await drillFailover({
          site: site(options),
          terminal,
          backend,
          signal: interrupt.signal,
        });
        if (outcome !== 'passed') fail(EXIT.failed);
      } finally {
        for (const signal of signals) process.off(signal, stop);
      }
    });
}
