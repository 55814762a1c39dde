import { SERVICES } from '@sanctum/contracts';
import { CertificateHolder, LiveTls } from '@sanctum/identity';
import type { ServiceContext, ServiceOptions } from './service-options.js';

/**
 * Has the service ask for its own certificates while it runs, and say which files it has taken over:
 * its listeners', its connection's to NATS, and what it names itself.
 */
export async function holdCertificate(
  { name, certificate, listeners }: ServiceOptions,
  { bus, logger }: ServiceContext,
): Promise<CertificateHolder | undefined> {
  if (certificate === undefined) return undefined;
  const live = new Set(listeners.map(({ tls }) => tls).filter((tls) => tls instanceof LiveTls));
  return CertificateHolder.open({
    home: certificate.home,
    identity: SERVICES[name],
    watches: () => [
      ...[...live].map(({ watch }) => watch),
      ...(bus === undefined ? [] : [bus.certificates]),
      ...(certificate.watches?.() ?? []),
    ],
    onProblem: (error) => logger.warn({ err: error }, 'certificate_not_requested'),
  });
}
