import type { Command } from 'commander';
import { auditGrep, auditTail, auditVerify } from './commands/audit.js';
import { EXIT } from './exit-codes.js';
import { wholeNumber, withHome, type Context, type HomeOption } from './program.js';

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
