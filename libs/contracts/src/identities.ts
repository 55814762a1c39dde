/** Who may hold a client certificate, and so who NATS knows. The router's is `sanctum-server`. */
export const IDENTITIES = [
  'sanctum-server',
  'engine',
  'sanctumctl',
  'guardian',
  'canary',
  'drift',
  'parity-smoke',
  'integrity',
  'council-offbox',
] as const;
export type Identity = (typeof IDENTITIES)[number];

/** Long-running services: the token in their subjects, and the identity they connect with. */
export const SERVICES = { router: 'sanctum-server', engine: 'engine' } as const satisfies Record<
  string,
  Identity
>;
export type ServiceName = keyof typeof SERVICES;

export const SERVICE_NAMES: readonly ServiceName[] = ['router', 'engine'];

export function isIdentity(name: string): name is Identity {
  return IDENTITIES.some((identity) => identity === name);
}

/** The service an identity runs, if it runs one. */
export function serviceOf(identity: Identity): ServiceName | undefined {
  return SERVICE_NAMES.find((service) => SERVICES[service] === identity);
}
