import type { Command } from 'commander';
import { certsInit, certsIssue, certsList, certsVerify } from './commands/certs.js';
import { EXIT } from './exit-codes.js';
import { collect, wholeNumber, withHome, type Context, type HomeOption } from './program.js';

export function addCertificateCommands(program: Command, { terminal, site, fail }: Context): void {
  const certs = program.command('certs').description('certificates of this instance');
  withHome(certs.command('init'))
    .description('make what is missing or unusable')
    .action(async (options: HomeOption) => certsInit(site(options), terminal));
  withHome(certs.command('issue'))
    .description('replace one certificate and its key')
    .argument('<subject>', 'server, or the identity of a client')
    .option('--address <host>', 'also valid for this name or address (server)', collect, [])
    .option('--days <count>', 'lifetime', wholeNumber)
    .action(
      async (
        subject: string,
        options: HomeOption & { address: readonly string[]; days?: number },
      ) => {
        const { address: addresses, days } = options;
        await certsIssue(site(options), terminal, { subject, addresses, days });
      },
    );
  withHome(certs.command('list'))
    .description('who they are for, and until when')
    .option('--json', 'for programs', false)
    .action(async (options: HomeOption & { json: boolean }) =>
      certsList(site(options), terminal, options),
    );
  withHome(certs.command('verify'))
    .description('each against CA, key and clock (exit 1 when one is unusable)')
    .action(async (options: HomeOption) => {
      if (!(await certsVerify(site(options), terminal))) {
        fail(EXIT.failed);
      }
    });
}
