/** An environment, this process's own when absent, in which programs do not colour their output. */
export function plainEnvironment(
  from: Readonly<Record<string, string | undefined>> = process.env,
): Record<string, string> {
  const entries = Object.entries(from).flatMap(([name, value]): [string, string][] =>
    value === undefined || name === 'FORCE_COLOR' ? [] : [[name, value]],
  );
  return Object.fromEntries(entries);
}
