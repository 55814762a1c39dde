import type { Instance } from '@sanctum/catalog';
import type { Failover } from '@sanctum/contracts';
import type { ServiceOptions } from '@sanctum/service-kit';
import type { RouterLimits } from './limits.js';

export interface RouterOptions {
  readonly instance: Instance;
  /** The file `instance` was read from: watched, and read again on SIGHUP. */
  readonly configFile?: string;
  /** Absolute `$SANCTUM_HOME`. */
  readonly home: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Instead of what instance.yaml says. */
  readonly host?: string;
  readonly port?: number;
  readonly limits?: Partial<RouterLimits>;
  readonly logger?: NonNullable<ServiceOptions['logger']>;
  /** Told of failovers instead of the bus. */
  readonly onFailover?: (event: Failover) => void;
  /** Signals end the process; off inside a test. */
  readonly ownsProcess?: boolean;
}
