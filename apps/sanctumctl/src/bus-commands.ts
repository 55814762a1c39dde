import type { Command } from 'commander';
import { busDeadLetters, busReplay, busStreams } from './commands/bus.js';
import { withHome, type Context, type HomeOption } from './command-options.js';

export function addBusCommands(program: Command, { terminal, site }: Context): void {
  const bus = program.command('bus').description('what NATS keeps, and what consumers gave up');
  withHome(bus.command('streams'))
    .description('streams, what they hold and their limits')
    .option('--json', 'for programs', false)
    .action(async (options: HomeOption & { json: boolean }) =>
      busStreams(site(options), terminal, options),
    );
  withHome(bus.command('dlq'))
    .description('dead letters: messages that a consumer gave up')
    .option('--json', 'for programs', false)
    .action(async (options: HomeOption & { json: boolean }) =>
      busDeadLetters(site(options), terminal, options),
    );
  withHome(bus.command('replay'))
    .description('say dead letters again, to whoever listens to their subject')
    .argument('[number...]', 'as `bus dlq` shows them')
    .option('--all', 'every one', false)
    .action(
      async (numbers: readonly string[], options: HomeOption & { all: boolean }, cmd: Command) => {
        if (options.all === numbers.length > 0) cmd.error('error: name dead letters, or --all');
        await busReplay(site(options), terminal, options.all ? 'all' : numbers.map(Number));
      },
    );
}
