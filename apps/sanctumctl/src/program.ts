import { Command, Option } from 'commander';
import { addAuditCommands, addSecretCommands } from './audit-commands.js';
import { addBusCommands } from './bus-commands.js';
import {
  collect,
  wholeNumber,
  withHome,
  type Context,
  type HomeOption,
} from './command-options.js';
import { chat } from './commands/chat.js';
import { doctor } from './commands/doctor.js';
import { down } from './commands/down.js';
import { logs } from './commands/logs.js';
import { runService } from './commands/run-service.js';
import { status } from './commands/status.js';
import { supervise } from './commands/supervise.js';
import { up } from './commands/up.js';
import { addDrillCommands } from './drill-commands.js';
import { EXIT } from './exit-codes.js';
import { addModelCommands } from './model-commands.js';
import { addCertificateCommands } from './trust-commands.js';
import type { PortMode } from './instance/port-plan.js';

export function createProgram(context: Context): Command {
  const program = new Command('sanctumctl')
    .description('Run and look after Sanctum.')
    .showHelpAfterError('Run `sanctumctl --help` for the commands.')
    .exitOverride();
  addLifecycleCommands(program, context);
  addConversationCommands(program, context);
  addCertificateCommands(program, context);
  addModelCommands(program, context);
  addBusCommands(program, context);
  addAuditCommands(program, context);
  addSecretCommands(program, context);
  addDrillCommands(program, context);
  addInternalCommands(program, context);
  return program;
}

interface UpFlags {
  readonly detach: boolean;
  readonly ports: PortMode;
  readonly yes: boolean;
  readonly withFallback: boolean;
}

function addLifecycleCommands(program: Command, { terminal, site, fail }: Context): void {
  withHome(program.command('up'))
    .description('make what is missing, start everything, ask the canary question')
    .option('--detach', 'return when everything is ready', false)
    .addOption(portsOption())
    .option('-y, --yes', 'install what is missing without asking', false)
    .option('--with-fallback', 'also run mlx_lm.server, the last URL of the router', false)
    .action(async (options: HomeOption & UpFlags) => {
      const { detach, ports, yes, withFallback } = options;
      await up({ site: site(options), terminal, detach, ports, yes, withFallback });
    });
  withHome(program.command('down'))
    .description('stop everything, also what a killed supervisor left')
    .action(async (options: HomeOption) => down({ site: site(options), terminal }));
  withHome(program.command('status'))
    .description('what runs, where, and whether it is healthy (exit 1 if not, but for --json)')
    .option('--json', 'for programs', false)
    .action(async (options: HomeOption & { json: boolean }) => {
      if (!(await status(site(options), terminal, options)) && !options.json) {
        fail(EXIT.failed);
      }
    });
  withHome(program.command('doctor'))
    .description('what is wrong with machine and home (exit 0 nothing, 1 findings, 3 cannot tell)')
    .option('--json', 'for programs', false)
    .option('--quick', 'leave out hashing the model', false)
    .action(async (options: HomeOption & { json: boolean; quick: boolean }) =>
      fail(await doctor(site(options), terminal, options)),
    );
  program
    .command('test')
    .description('every check there is (from a checkout: ./sanctumctl test)')
    .action(() => {
      terminal.say('Tests run from a checkout: ./sanctumctl test');
      fail(EXIT.usage);
    });
}

function addConversationCommands(program: Command, { terminal, site }: Context): void {
  withHome(program.command('logs'))
    .description('the log of one service, or of all')
    .argument('[service]')
    .option('-f, --follow', 'go on as lines are written', false)
    .option('-n, --lines <count>', 'lines from the end to begin with', wholeNumber, 50)
    .action(
      async (
        service: string | undefined,
        options: HomeOption & { follow: boolean; lines: number },
      ) => {
        const abort = new AbortController();
        process.once('SIGINT', () => abort.abort());
        await logs(site(options), terminal, { ...options, service, signal: abort.signal });
      },
    );
  withHome(program.command('chat'))
    .description('talk to the router; with a question, one answer')
    .argument('[question]')
    .option('-m, --model <name>', 'model or backend')
    .option('-s, --system <text>', 'system prompt')
    .option('--max-tokens <count>', 'longest answer', wholeNumber)
    .option('-t, --temperature <number>', '0 is deterministic', Number, 0)
    .action(
      async (
        question: string | undefined,
        options: HomeOption & {
          model?: string;
          system?: string;
          maxTokens?: number;
          temperature: number;
        },
      ) => {
        const { model, system, maxTokens, temperature } = options;
        await chat(site(options), terminal, { question, model, system, maxTokens, temperature });
      },
    );
}

function addInternalCommands(program: Command, { terminal, site, fail }: Context): void {
  withHome(program.command('run-service'))
    .description('one service in the foreground, with its secrets: for units of systemd or launchd')
    .argument('<name>', 'as `status` shows it')
    .action(async (name: string, options: HomeOption) =>
      fail(await runService(site(options), name)),
    );
  withHome(program.command('supervise', { hidden: true }))
    .option('--only <service>', 'leave out the others', collect, undefined)
    .option('--with-fallback', 'run the Python fallback as well', false)
    .action(async (options: HomeOption & { only?: string[]; withFallback: boolean }) => {
      const { only, withFallback } = options;
      const supervision = await supervise({ site: site(options), only, withFallback });
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
        process.on(signal, () => void supervision.stop());
      }
      // Whoever launched this watches over the socket, and ends it when a service fails.
      supervision.started.catch(() => undefined);
      process.send?.('listening');
      await supervision.ended;
    });
  withHome(program.command('infra'))
    .description('home, certificates and NATS alone, for services run from source')
    .addOption(portsOption())
    .action(async (options: HomeOption & { ports: PortMode }) => {
      const { ports } = options;
      await up({ site: site(options), terminal, detach: true, ports, yes: false, only: ['nats'] });
    });
}

function portsOption(): Option {
  return new Option('--ports <mode>', 'those of instance.yaml, or free ones, which are recorded')
    .choices(['configured', 'auto'])
    .default('configured');
}
