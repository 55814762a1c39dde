import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

/** All that sanctumctl reads from its environment. */
export interface Environment {
  /** Root of the checkout, when the launcher ran from one. */
  readonly checkout: string | undefined;
  readonly home: string | undefined;
  readonly natsServer: string | undefined;
  readonly path: string;
  readonly cacheFolder: string;
  readonly temporaryFolder: string;
  /** A person may be asked questions. */
  readonly interactive: boolean;
  /** What services inherit. */
  readonly inherited: Readonly<Record<string, string>>;
  readonly authDisabled: boolean;
}

export function readEnvironment(): Environment {
  const { env } = process;
  return {
    checkout: env['SANCTUM_CHECKOUT'],
    home: env['SANCTUM_HOME'],
    natsServer: env['SANCTUM_NATS_SERVER'],
    path: env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
    cacheFolder: join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'sanctum'),
    temporaryFolder: tmpdir(),
    interactive: process.stdin.isTTY && process.stdout.isTTY && env['CI'] === undefined,
    inherited: Object.fromEntries(
      Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
    authDisabled: env['SANCTUM_MLX_DISABLE_AUTH'] === '1',
  };
}
