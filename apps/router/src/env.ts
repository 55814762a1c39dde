/** What the environment may say; nothing else reads it. */
export interface RouterEnvironment {
  /** `$SANCTUM_HOME`, or `.sanctum` in the working directory. */
  readonly home: string;
  /** Where `api_key_env` finds keys. */
  readonly variables: Readonly<Record<string, string | undefined>>;
}

export function readEnvironment(): RouterEnvironment {
  return { home: process.env['SANCTUM_HOME'] ?? '.sanctum', variables: process.env };
}
