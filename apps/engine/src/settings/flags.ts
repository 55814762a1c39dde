import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { SanctumError } from '@sanctum/errors';
import { THREADS_MAX } from '../protocol.js';

/** The command line; what is absent is left to instance.yaml, then to defaults. */
export interface EngineFlags {
  readonly model?: string;
  readonly modelName?: string;
  readonly adapterPath?: string;
  readonly host?: readonly string[];
  readonly port?: number;
  readonly tlsHost?: readonly string[];
  readonly tlsPort?: number;
  /** False with `--no-plain`. */
  readonly plain: boolean;
  readonly authTokenFile?: string;
  readonly manifest?: string;
  readonly manifestSig?: string;
  readonly manifestPubkey?: readonly string[];
  readonly library?: string;
  readonly computeMode?: 'exact' | 'fast';
  readonly threads?: number;
  readonly metalCacheLimitMb?: number;
  readonly metalMemoryLimitMb?: number;
  readonly metalWiredLimitMb?: number;
  readonly kvValues?: 'f32' | 'f16' | '8' | '4';
}

const MEGABYTES_MAX = 1_048_576;

/** Reads the arguments after the program's name. Throws `config_invalid`; `--help` exits 0. */
export function parseFlags(args: readonly string[], version: string): EngineFlags {
  const command = engineCommand(version);
  try {
    command.parse(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode !== 0) {
      throw new SanctumError('config_invalid', error.message.replace(/^error: /, ''), {
        cause: error,
      });
    }
    throw error;
  }
  return command.opts<EngineFlags>();
}

function engineCommand(version: string): Command {
  return new Command('sanctum-engine')
    .description('Serves one verified model over the OpenAI API.')
    .version(version)
    .option('--model <folder>', 'folder of the model')
    .option('--model-name <name>', 'name that clients ask for')
    .option('--adapter-path <folder>', 'LoRA adapter to merge')
    .option('--host <address>', 'plain listener; repeatable', collect)
    .option('--port <port>', 'port of the plain listener', integer(0, 65_535))
    .option('--tls-host <address>', 'mTLS listener; repeatable', collect)
    .option('--tls-port <port>', 'port of the mTLS listener', integer(0, 65_535))
    .option('--no-plain', 'no plain listener')
    .option('--auth-token-file <file>', 'bearer token for clients beyond loopback, mode 0600')
    .option('--manifest <file>', 'signed manifest of the model')
    .option('--manifest-sig <file>', 'its signature')
    .option('--manifest-pubkey <file>', 'a key that may have signed it; repeatable', collect)
    .option('--library <file>', 'native library')
    .addOption(new Option('--compute-mode <mode>').choices(['exact', 'fast']))
    .option('--threads <count>', 'threads of the native library', integer(1, THREADS_MAX))
    .option('--metal-cache-limit-mb <MB>', 'memory of caches', integer(1, MEGABYTES_MAX))
    .option('--metal-memory-limit-mb <MB>', 'memory of the library', integer(1, MEGABYTES_MAX))
    .option('--metal-wired-limit-mb <MB>', 'memory locked in place', integer(1, MEGABYTES_MAX))
    .addOption(new Option('--kv-values <type>').choices(['f32', 'f16', '8', '4']))
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
}

function collect(value: string, former: readonly string[] = []): readonly string[] {
  return [...former, value];
}

function integer(min: number, max: number): (value: string) => number {
  return (value) => {
    const parsed = Number(value);
    if (/^\d{1,9}$/.test(value) && parsed >= min && parsed <= max) return parsed;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}
