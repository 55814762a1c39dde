/** What the engine reads from its environment, and the only place that reads it. */
export interface Environment {
  /** `SANCTUM_HOME`: the folder of instance.yaml, certificates and secrets. */
  readonly home: string | undefined;
  /** `SANCTUM_MLX_DISABLE_AUTH=1`: everybody is let in. For emergencies. */
  readonly authDisabled: boolean;
  /** `SANCTUM_ISA`: forces one instruction set of the native library. */
  readonly isa: string | undefined;
  /** Under `node --watch`, whose child tells its parent which files to watch. */
  readonly watched: boolean;
}

export function readEnvironment(): Environment {
  const { SANCTUM_HOME, SANCTUM_MLX_DISABLE_AUTH, SANCTUM_ISA } = process.env;
  const { WATCH_REPORT_DEPENDENCIES } = process.env;
  return {
    home: SANCTUM_HOME === '' ? undefined : SANCTUM_HOME,
    authDisabled: SANCTUM_MLX_DISABLE_AUTH === '1',
    isa: SANCTUM_ISA === '' ? undefined : SANCTUM_ISA,
    watched: WATCH_REPORT_DEPENDENCIES !== undefined,
  };
}

/** What a child may inherit: everything but the settings of this process. */
export function inheritedEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('SANCTUM_')),
  );
}
