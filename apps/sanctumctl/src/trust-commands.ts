import { Argument, type Command } from 'commander';
import {
  certsRenew,
  certsRevoke,
  certsRollover,
  type RolloverStep,
} from './commands/certs-life.js';
import { certsMigration } from './commands/certs-migration.js';
import { certsSign } from './commands/certs-sign.js';
import { certsInit, certsIssue, certsList, certsVerify } from './commands/certs.js';
import { EXIT } from './exit-codes.js';
import {
  collect,
  wholeNumber,
  withHome,
  type Context,
  type HomeOption,
} from './command-options.js';

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
  addLifeCommands(certs, { terminal, site });
}

function addLifeCommands(certs: Command, { terminal, site }: Pick<Context, 'terminal' | 'site'>) {
  withHome(certs.command('renew'))
    .description('replace certificates; running services take them over')
    .option('--all', 'every one that is there', false)
    .option('--identity <name>', 'server, or an identity; repeat for more', collect, [])
    .option('--due', 'only what is past two thirds of its life, or unusable', false)
    .action(
      async (
        options: HomeOption & { all: boolean; identity: readonly string[]; due: boolean },
        command: Command,
      ) => {
        const { all, identity: subjects, due } = options;
        if (!all && !due && subjects.length === 0) {
          command.error('error: name --all, --identity or --due');
        }
        await certsRenew(site(options), terminal, { subjects, due });
      },
    );
  withHome(certs.command('revoke'))
    .description('take certificates back: refused and cut off within seconds')
    .argument('<target>', 'server, an identity, or a serial number')
    .option('--replace', 'issue a new certificate first, and revoke the ones before it', false)
    .action(async (target: string, options: HomeOption & { replace: boolean }) =>
      certsRevoke(site(options), terminal, { target, replace: options.replace }),
    );
  withHome(certs.command('sign'))
    .description('sign a request of another machine, whose key stays there')
    .argument('<request>', 'PEM file of a PKCS #10 request')
    .requiredOption('--identity <name>', 'whose certificate it will be')
    .requiredOption('--out <file>', 'where to write the certificate')
    .option('--days <count>', 'lifetime', wholeNumber)
    .action(
      async (
        request: string,
        options: HomeOption & { identity: string; out: string; days?: number },
      ) => {
        const { identity, out, days } = options;
        await certsSign(site(options), terminal, { request, identity, out, days });
      },
    );
  withHome(certs.command('migration'))
    .description('who came in how over seven days, and whether bearer may be retired')
    .option('--json', 'for programs', false)
    .action(async (options: HomeOption & { json: boolean }) =>
      certsMigration(site(options), terminal, options),
    );
  withHome(certs.command('rollover'))
    .description('change the CA while everything runs')
    .addArgument(new Argument('<step>').choices(['start', 'finish', 'status']))
    .action(async (step: RolloverStep, options: HomeOption) =>
      certsRollover(site(options), terminal, step),
    );
}
