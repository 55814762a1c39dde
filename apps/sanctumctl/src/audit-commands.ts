import type { Command } from 'commander';
import { auditGrep, auditTail, auditVerify } from './commands/audit.js';
import { secretsList, secretsRemove, secretsSet } from './commands/secrets.js';
import { EXIT } from './exit-codes.js';
import { wholeNumber, withHome, type Context, type HomeOption } from './command-options.js';

interface ReadOptions extends HomeOption {
  readonly service?: string;
  readonly json: boolean;
}

export function addAuditCommands(program: Command, { terminal, site, fail }: Context): void {
  const audit = program.command('audit').description('who did what: hash-chained, per service');
  withHome(audit.command('verify'))
    .description('every link, and what chains say of each other (exit 1 when one is broken)')
    .argument('[service]')
    .option('--json', 'for programs', false)
    .action(async (service: string | undefined, options: HomeOption & { json: boolean }) => {
      const { json } = options;
      if (!(await auditVerify(site(options), terminal, { service, json }))) fail(EXIT.failed);
    });
  withHome(audit.command('tail'))
    .description('the last lines of one service, or of all')
    .argument('[service]')
    .option('-n, --lines <count>', 'how many', wholeNumber, 20)
    .option('--json', 'for programs', false)
    .action(
      async (
        service: string | undefined,
        options: HomeOption & { lines: number; json: boolean },
      ) => {
        const { lines, json } = options;
        await auditTail(site(options), terminal, { service, lines, json });
      },
    );
  withHome(audit.command('grep'))
    .description('lines that match a regular expression (exit 1 when none does)')
    .argument('<pattern>')
    .option('--service <name>', 'of one service')
    .option('--json', 'for programs', false)
    .action(async (pattern: string, options: ReadOptions) => {
      const { service, json } = options;
      if (!(await auditGrep(site(options), terminal, { pattern, service, json }))) {
        fail(EXIT.failed);
      }
    });
}

export function addSecretCommands(program: Command, { terminal, site }: Context): void {
  const secrets = program.command('secrets').description('keys of backends, as files of their own');
  withHome(secrets.command('list'))
    .description('which keys instance.yaml names, and where each comes from')
    .option('--json', 'for programs', false)
    .action((options: HomeOption & { json: boolean }) =>
      secretsList(site(options), terminal, options),
    );
  withHome(secrets.command('set'))
    .description('write one, read from standard input')
    .argument('<name>', 'as api_key_env names it')
    .action(async (name: string, options: HomeOption) =>
      secretsSet(site(options), terminal, { name, input: process.stdin }),
    );
  withHome(secrets.command('remove'))
    .description('delete one')
    .argument('<name>')
    .action(async (name: string, options: HomeOption) =>
      secretsRemove(site(options), terminal, name),
    );
}
