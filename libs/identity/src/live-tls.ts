import { EventEmitter } from 'node:events';
import { SanctumError } from '@sanctum/errors';
import { exists } from './archive.js';
import { crlPathOf } from './pki-files.js';
import {
  readPair,
  readTlsFiles,
  readTrust,
  type TlsMaterial,
  type TlsPaths,
  type Trust,
} from './tls.js';
import { watchFiles, type FileWatch } from './watch-files.js';

export interface LiveTlsOptions {
  readonly paths: TlsPaths;
  readonly usage: 'server' | 'client';
  readonly pollMs?: number;
  /** Told once of each change that cannot be taken over; what was read before stays in use. */
  readonly onProblem?: (error: unknown) => void;
}

/**
 * Certificate, key, CA and revocation list as they lie on disk, read again when they change. A
 * change that is not usable, a file that is gone among them, leaves what was there; where the
 * revocation list alone is gone, the others are taken over.
 */
export class LiveTls {
  readonly paths: TlsPaths;
  readonly #options: LiveTlsOptions;
  readonly #events = new EventEmitter<{ change: [TlsMaterial] }>();
  readonly #watch: FileWatch;
  #material: TlsMaterial | undefined;

  private constructor(options: LiveTlsOptions) {
    this.#options = options;
    this.paths = options.paths;
    this.#events.setMaxListeners(0);
    const { ca, cert, key } = options.paths;
    this.#watch = watchFiles({
      paths: [ca, crlPathOf(ca), cert, key],
      onChange: () => this.#read(),
      onProblem: (error) => options.onProblem?.(error),
      ...(options.pollMs === undefined ? {} : { pollMs: options.pollMs }),
    });
  }

  /** Throws `certificate_invalid`, as `readTlsFiles` does. */
  static async open(options: LiveTlsOptions): Promise<LiveTls> {
    const live = new LiveTls(options);
    try {
      await live.#watch.ready;
      live.#material = await readTlsFiles(options.paths, options.usage);
      return live;
    } catch (error) {
      live.close();
      throw error;
    }
  }

  get material(): TlsMaterial {
    if (this.#material === undefined) throw new Error('TLS files are read when they are opened');
    return this.#material;
  }

  /** The files, and how far they are taken over. */
  get watch(): FileWatch {
    return this.#watch;
  }

  /** Calls back with each new material, until the function that is returned is called. */
  onChange(listener: (material: TlsMaterial) => void): () => void {
    this.#events.on('change', listener);
    return () => void this.#events.off('change', listener);
  }

  /** Takes over what lies on disk now; resolves when listeners know. */
  async refresh(): Promise<void> {
    await this.#watch.check();
  }

  close(): void {
    this.#watch.close();
    this.#events.removeAllListeners();
  }

  async #read(): Promise<void> {
    const { paths } = this;
    const trust = await readTrust(paths, this.material.crl);
    try {
      this.#take(await readPair({ paths, usage: this.#options.usage, trust }));
    } catch (error) {
      // A revocation counts, also where the own certificate is the one that is gone.
      if (trust.ca !== this.material.ca || !sameMembers(trust.revoked, this.material.revoked)) {
        this.#take({ ...this.material, ...trust });
      }
      throw error;
    }
    await this.#sayLostList(trust);
  }

  async #sayLostList({ crl = [] }: Trust): Promise<void> {
    const path = crlPathOf(this.paths.ca);
    if (crl.length === 0 || (await exists(path))) return;
    this.#options.onProblem?.(
      new SanctumError(
        'certificate_invalid',
        `The revocation list ${path} is gone. What it revoked stays revoked until this process ` +
          'ends; `sanctumctl certs init` signs it anew.',
        { param: path },
      ),
    );
  }

  #take(material: TlsMaterial): void {
    this.#material = material;
    this.#events.emit('change', material);
  }
}

function sameMembers(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((member) => b.has(member));
}
