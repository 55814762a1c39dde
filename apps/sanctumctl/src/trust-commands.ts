import { InvalidArgumentError, type Command } from 'commander';
import { certsInit, certsIssue, certsList, certsVerify } from './commands/certs.js';
import { modelKeygen, modelList, modelManifest, modelSign, modelVerify } from './commands/model.js';
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

export function addModelCommands(program: Command, { terminal, site }: Context): void {
  const model = program.command('model').description('models and their signed manifests');
  withHome(model.command('list'))
    .description('models of this instance')
    .option('--json', 'for programs', false)
    .action((options: HomeOption & { json: boolean }) =>
      modelList(site(options), terminal, options),
    );
  model
    .command('manifest')
    .description('hash every file of a model folder')
    .argument('<folder>')
    .option('-o, --out <file>', 'where to write it (default: <folder>.manifest.sha256)')
    .option('--model-version <number>', 'version, counting up', wholeNumber)
    .option('--expires <date>', 'last day it may be served', isoDate)
    .option('--key <file>', 'private key whose id goes into the header')
    .action(
      async (
        folder: string,
        options: { out?: string; modelVersion?: number; expires?: Date; key?: string },
      ) => {
        const { out, modelVersion: version, expires, key } = options;
        await modelManifest(terminal, { folder, out, version, expires, key });
      },
    );
  model
    .command('keygen')
    .description('make a key pair: NAME.key (private) and NAME.pub')
    .argument('<name>')
    .action((name: string) => modelKeygen(terminal, name));
  model
    .command('sign')
    .description('sign a manifest')
    .argument('<manifest>')
    .requiredOption('--key <file>', 'private key')
    .action((manifest: string, options: { key: string }) =>
      modelSign(terminal, { manifest, key: options.key }),
    );
  withHome(model.command('verify'))
    .description('signature and every hash, as the engine does')
    .argument('[folder]', "default: the engine's model")
    .option('--manifest <file>')
    .option('--sig <file>')
    .option('--pubkey <file>', 'trusted key; repeat for more', collect, undefined)
    .action(
      async (
        folder: string | undefined,
        options: HomeOption & { manifest?: string; sig?: string; pubkey?: readonly string[] },
      ) => {
        const { manifest, sig: signature, pubkey: publicKeys } = options;
        await modelVerify(site(options), terminal, { folder, manifest, signature, publicKeys });
      },
    );
}

function isoDate(text: string): Date {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) {
    throw new InvalidArgumentError('expected a date such as 2027-01-31');
  }
  return date;
}
