import { isPublicHost, type HomePaths, type RouterSection } from '@sanctum/catalog';
import { crlPathOf, watchFiles, type FileWatch } from '@sanctum/identity';
import { ROUTER_IDENTITY, type ClientTlsSection } from './upstream-tls.js';

export interface UpstreamCertificatesOptions {
  readonly home: HomePaths;
  /** Opens upstream connections anew, with the files as they are; rejects when it cannot. */
  readonly renew: () => Promise<void>;
  readonly onProblem: (error: unknown) => void;
}

/** Follows every file that TLS towards upstreams was made from, those not there yet included. */
export class UpstreamCertificates {
  readonly #options: UpstreamCertificatesOptions;
  #watch: FileWatch | undefined;

  constructor(options: UpstreamCertificatesOptions) {
    this.#options = options;
  }

  get watches(): readonly FileWatch[] {
    return this.#watch === undefined ? [] : [this.#watch];
  }

  /**
   * Follows the files of this section, and those of no section before it. Resolves when they are
   * known as they are: a change from then on is not missed.
   */
  async follow(section: RouterSection): Promise<void> {
    const { home, renew, onProblem } = this.#options;
    this.#watch?.close();
    this.#watch = watchFiles({
      paths: certificateFiles(section, home),
      onChange: renew,
      onProblem,
    });
    await this.#watch.ready;
  }

  close(): void {
    this.#watch?.close();
  }
}

function certificateFiles({ backends }: RouterSection, home: HomePaths): string[] {
  const files = Object.values(backends).flatMap((backend) => {
    const entries = [
      { url: backend.url, tls: backend.tls },
      ...backend.fallback_urls.map((entry) =>
        typeof entry === 'string'
          ? { url: entry, tls: backend.tls }
          : { url: entry.url, tls: entry.tls ?? backend.tls },
      ),
    ];
    return entries.flatMap(({ url, tls }) => filesOf(new URL(url), tls, home));
  });
  return [...new Set(files)];
}

function filesOf(url: URL, tls: ClientTlsSection | undefined, home: HomePaths): string[] {
  if (url.protocol !== 'https:') return [];
  if (tls === undefined && isPublicHost(url.hostname)) return [];
  const ca = tls?.ca ?? home.ca.cert;
  const pair = tls?.cert === undefined ? home.client(tls?.identity ?? ROUTER_IDENTITY) : tls;
  return [ca, crlPathOf(ca), pair.cert, pair.key].filter((path) => path !== undefined);
}
