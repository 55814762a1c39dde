import { InvalidArgumentError, type Command } from 'commander';
import { modelKeygen, modelList, modelManifest, modelSign, modelVerify } from './commands/model.js';
import {
  modelExport,
  modelImport,
  modelRevoke,
  modelRollback,
  modelTrust,
} from './commands/model-trust.js';
import {
  collect,
  wholeNumber,
  withHome,
  type Context,
  type HomeOption,
} from './command-options.js';

export function addModelCommands(program: Command, context: Context): void {
  const { terminal, site } = context;
  const model = program.command('model').description('models and their signed manifests');
  addTrustCommands(model, context);
  addBundleCommands(model, context);
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

function addTrustCommands(model: Command, { terminal, site }: Context): void {
  withHome(model.command('trust'))
    .description('which versions were served here, and which keys may sign')
    .option('--json', 'for programs', false)
    .option('--reset', 'forget what was served: the next manifest counts as the first', false)
    .action(async (options: HomeOption & { json: boolean; reset: boolean }) =>
      modelTrust(site(options), terminal, options),
    );
  withHome(model.command('rollback'))
    .description('sign the exception under which an older version may be served')
    .argument('<manifest>')
    .requiredOption('--key <file>', 'private key that is trusted here')
    .requiredOption('--reason <text>', 'why, for the audit')
    .option('--days <count>', 'how long', wholeNumber, 7)
    .option('--pubkey <file>', 'trusted key or folder; repeat for more', collect, undefined)
    .action(
      async (
        manifest: string,
        options: HomeOption & {
          key: string;
          reason: string;
          days: number;
          pubkey?: readonly string[];
        },
      ) => {
        const { key, reason, days, pubkey: publicKeys } = options;
        await modelRollback(site(options), terminal, { manifest, key, reason, days, publicKeys });
      },
    );
  withHome(model.command('revoke'))
    .description('archive a public key: what it signed is refused from now on')
    .argument('<file>')
    .action(async (file: string, options: HomeOption) =>
      modelRevoke(site(options), terminal, file),
    );
}

function addBundleCommands(model: Command, { terminal, site }: Context): void {
  withHome(model.command('export'))
    .description('prove a model and sign it as an OpenSSF Model Signing bundle')
    .argument('<folder>')
    .requiredOption('--key <file>', 'elliptic-curve private key, PEM')
    .option('-o, --out <file>', 'where to write it (default: <folder>.oms.json)')
    .option('--pubkey <file>', 'trusted key of its manifest; repeat for more', collect, undefined)
    .action(
      async (
        folder: string,
        options: HomeOption & { key: string; out?: string; pubkey?: readonly string[] },
      ) => {
        const { key, out, pubkey: publicKeys } = options;
        await modelExport(site(options), terminal, { folder, key, out, publicKeys });
      },
    );
  model
    .command('import')
    .description('verify an OpenSSF Model Signing bundle and sign a manifest for it')
    .argument('<bundle>')
    .argument('<folder>')
    .requiredOption('--bundle-key <file>', 'elliptic-curve public key of the bundle, PEM')
    .requiredOption('--key <file>', 'private key that signs the manifest')
    .option('--model-version <number>', 'version, counting up', wholeNumber)
    .action(
      async (
        bundle: string,
        folder: string,
        options: { bundleKey: string; key: string; modelVersion?: number },
      ) => {
        const { bundleKey, key, modelVersion: version } = options;
        await modelImport(terminal, { bundle, folder, bundleKey, key, version });
      },
    );
}
