/** Every port one instance listens on. */
export const PORT_NAMES = [
  'nats',
  'nats.monitor',
  'engine.plain',
  'engine.tls',
  'router',
  'router.tls',
  'fallback',
] as const;
export type PortName = (typeof PORT_NAMES)[number];
export type PortTable = Readonly<Partial<Record<PortName, number>>>;

interface Listener {
  readonly port: number;
}

interface ServiceListener extends Listener {
  readonly enabled: boolean;
}

/** As much of an instance as says where it listens. */
export interface ListeningInstance {
  readonly services: {
    readonly nats?: ServiceListener & { readonly monitor_port: number };
    readonly engine?: {
      readonly enabled: boolean;
      readonly listeners: { readonly plain: ServiceListener; readonly tls: Listener };
    };
    readonly router?: ServiceListener & { readonly tls?: Listener };
    readonly fallback?: ServiceListener;
  };
}

/** The ports an instance is configured to listen on; only those of enabled services. */
export function portsOf(instance: ListeningInstance): PortTable {
  const { nats, engine, router, fallback } = instance.services;
  return {
    ...(fallback?.enabled === true ? { fallback: fallback.port } : {}),
    ...(nats?.enabled === true ? { nats: nats.port, 'nats.monitor': nats.monitor_port } : {}),
    ...(engine?.enabled === true
      ? {
          ...(engine.listeners.plain.enabled
            ? { 'engine.plain': engine.listeners.plain.port }
            : {}),
          'engine.tls': engine.listeners.tls.port,
        }
      : {}),
    ...(router?.enabled === true
      ? {
          router: router.port,
          ...(router.tls === undefined ? {} : { 'router.tls': router.tls.port }),
        }
      : {}),
  };
}

/** Where instance.yaml sets each port. */
export const PORT_SETTINGS = {
  nats: ['services', 'nats', 'port'],
  'nats.monitor': ['services', 'nats', 'monitor_port'],
  'engine.plain': ['services', 'engine', 'listeners', 'plain', 'port'],
  'engine.tls': ['services', 'engine', 'listeners', 'tls', 'port'],
  router: ['services', 'router', 'port'],
  'router.tls': ['services', 'router', 'tls', 'port'],
  fallback: ['services', 'fallback', 'port'],
} as const satisfies Record<PortName, readonly string[]>;

/** Ports named twice; 0 (the system chooses) never collides. */
export function portCollisions(ports: PortTable): { name: PortName; with: PortName }[] {
  const owners = new Map<number, PortName>();
  return PORT_NAMES.flatMap((name) => {
    const port = ports[name];
    if (port === undefined || port === 0) {
      return [];
    }
    const owner = owners.get(port);
    owners.set(port, owner ?? name);
    return owner === undefined ? [] : [{ name, with: owner }];
  });
}
