import { LiveTls } from '@sanctum/identity';
import type { ListenerOptions } from './listeners.js';
import type { Metrics } from './metrics.js';

/** When the certificate each TLS listener presents now ends, so that a renewal that fails is seen. */
export function exposeCertificates(metrics: Metrics, listeners: readonly ListenerOptions[]): void {
  metrics.gauge<'listener'>({
    name: 'certificate_expiry_timestamp_seconds',
    help: 'When the certificate of a listener ends, since the epoch.',
    labels: ['listener'],
    readAll: () =>
      listeners.flatMap(({ name, tls }) =>
        tls instanceof LiveTls
          ? [{ labels: { listener: name }, value: tls.material.notAfter.getTime() / 1000 }]
          : [],
      ),
  });
}
