import type { Instance } from '@sanctum/catalog';
import { isLocalHost, isLoopbackHost } from '@sanctum/contracts';
import { serviceUrls } from './service-specs.js';

const DEFAULT_PORTS: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' };

/** The service of an instance that listens where a URL leads, by name. */
export function serviceAt(instance: Instance, url: string): string | undefined {
  const { engine } = instance.services;
  const { hostname, port, protocol } = new URL(url);
  const wanted = { host: bare(hostname), port: port === '' ? DEFAULT_PORTS[protocol] : port };
  // The engine has two doors; every other service is where its URL says.
  const { plain, tls } = engine?.listeners ?? {};
  const doors = engine?.enabled === true ? [plain?.enabled === true ? plain : undefined, tls] : [];
  const places = [
    ...Object.entries(serviceUrls(instance)).map(([name, at]) => {
      const own = new URL(at);
      return { name, host: bare(own.hostname), port: own.port };
    }),
    ...doors
      .filter((door) => door !== undefined)
      .flatMap(({ hosts, port: at }) =>
        hosts.map((host) => ({ name: 'engine', host, port: String(at) })),
      ),
  ];
  return places.find((place) => place.port === wanted.port && reaches(wanted.host, place.host))
    ?.name;
}

function reaches(host: string, listener: string): boolean {
  if (host === listener) return true;
  return isLoopbackHost(host) && isLocalHost(listener);
}

function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '');
}
