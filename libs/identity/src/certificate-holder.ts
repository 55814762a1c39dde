import type { Stats } from 'node:fs';
import { stat, utimes } from 'node:fs/promises';
import { errnoOf, type HomePaths } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { z } from 'zod';
import { writePair } from './authority.js';
import { makeRequest, type MadeRequest } from './certificate-request.js';
import { describeCertificate, verifyCertificate } from './inspect.js';
import {
  clearSpoolFiles,
  ensureSpool,
  readSpoolFile,
  requestFiles,
  writeSpoolFile,
  type RequestFiles,
} from './request-spool.js';
import { readTlsFiles, readTrust } from './tls.js';
import { fileMark, type FileWatch } from './watch-files.js';

export interface CertificateHolderOptions {
  readonly home: HomePaths;
  readonly identity: string;
  /** What the service makes of certificate files; asked each time, for some come and go. */
  readonly watches: () => readonly FileWatch[];
  /** Told of an order or a certificate that was not taken; the present one stays in use. */
  readonly onProblem: (error: unknown) => void;
  readonly pollMs?: number;
}

const POLL_MS = 200;
const BEAT_MS = 5000;
/** A service that does not stir for so long counts as gone, whatever process has its pid. */
export const HOLDER_SILENCE_MAX_MS = 30_000;

const holderSchema = z.strictObject({
  pid: z.int().min(2),
  /** Files that parts of the service follow, and what they were like when they were taken over. */
  follows: z.array(z.strictObject({ paths: z.array(z.string()), taken: z.string() })),
});
export type HolderRecord = z.infer<typeof holderSchema>;

/**
 * A service's side of its certificate. It says that it is there and which files it has taken over;
 * asked to, it makes a new key, sends a request for its certificate, and writes both when the
 * certificate comes. The key is in this process and in the service's own file, nowhere else.
 */
export class CertificateHolder {
  readonly #options: CertificateHolderOptions;
  readonly #files: RequestFiles;
  readonly #timer: NodeJS.Timeout;
  #looking: Promise<void> | undefined;
  #hasSpool = false;
  #said = '';
  #beatMs = 0;
  #complained = '';
  #answered = '';
  #pending: MadeRequest | undefined;

  private constructor(options: CertificateHolderOptions) {
    this.#options = options;
    this.#files = requestFiles(options.home, options.identity);
    this.#timer = setInterval(() => void this.look(), options.pollMs ?? POLL_MS);
    this.#timer.unref();
  }

  static async open(options: CertificateHolderOptions): Promise<CertificateHolder> {
    const holder = new CertificateHolder(options);
    await holder.look();
    return holder;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
    const record = await readHolder(this.#options.home, this.#options.identity);
    if (record?.pid === process.pid) await clearSpoolFiles(Object.values(this.#files));
  }

  /** Looks once for orders and certificates, and says how things are. */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((error: unknown) => this.#complain(error))
      .finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #look(): Promise<void> {
    this.#hasSpool ||= await ensureSpool(this.#options.home);
    if (!this.#hasSpool) return;
    await this.#say();
    const order = await readSpoolFile(this.#files.order);
    if (order !== undefined && order !== this.#answered) {
      // Before the work: an order that cannot be met is complained of once.
      this.#answered = order;
      this.#complained = '';
      await this.#request(order);
    }
    if (this.#pending !== undefined) await this.#take(this.#pending);
  }

  /** What goes on failing is said once. */
  #complain(error: unknown): void {
    const reason = messageOf(error);
    if (reason !== this.#complained) this.#options.onProblem(error);
    this.#complained = reason;
  }

  async #say(): Promise<void> {
    const follows = this.#options.watches().map(({ paths, taken }) => ({
      paths: [...paths],
      taken,
    }));
    const text = JSON.stringify({ pid: process.pid, follows } satisfies HolderRecord);
    const nowMs = performance.now();
    if (text === this.#said) {
      if (nowMs - this.#beatMs < BEAT_MS) return;
      const now = new Date();
      this.#said = '';
      await utimes(this.#files.holder, now, now);
      this.#said = text;
    } else {
      writeSpoolFile(this.#files.holder, text);
      this.#said = text;
    }
    this.#beatMs = nowMs;
  }

  async #request(challenge: string): Promise<void> {
    const { home, identity } = this.#options;
    const paths = { ca: home.ca.cert, ...home.client(identity) };
    const { cert, key } = await readTlsFiles(paths, 'client');
    const present = describeCertificate(cert, paths.cert).identity;
    if (present === undefined) return;
    const made = await makeRequest({ cert, key, identity: present }, challenge);
    writeSpoolFile(this.#files.request, made.text);
    this.#pending = made;
  }

  async #take({ key }: MadeRequest): Promise<void> {
    const { home, identity } = this.#options;
    const { answer, order, request } = this.#files;
    const cert = await readSpoolFile(answer);
    if (cert === undefined) return;
    this.#pending = undefined;
    const { ca, revoked } = await readTrust({ ca: home.ca.cert });
    const { info, faults } = verifyCertificate({
      ...{ ca, revoked, cert, key },
      ...{ usage: 'client', path: answer },
    });
    const [fault] = faults;
    // Before the pair is written: whoever waits for that may order anew at once.
    await clearSpoolFiles([order, request, answer]);
    if (info?.identity?.name === identity && fault === undefined) {
      writePair(home.client(identity), cert, key);
      return;
    }
    throw new SanctumError(
      'certificate_invalid',
      fault?.message ?? `${answer} is a certificate of ${info?.commonName ?? 'nobody'}.`,
      { param: answer },
    );
  }
}

/** A service that is there, as it said last; undefined where none is. Throws `certificate_invalid` or `io`. */
export async function readHolder(
  home: HomePaths,
  identity: string,
  nowMs = Date.now(),
): Promise<HolderRecord | undefined> {
  const { holder } = requestFiles(home, identity);
  const entry = await statOf(holder);
  if (entry === undefined || nowMs - entry.mtimeMs > HOLDER_SILENCE_MAX_MS) return undefined;
  const text = await readSpoolFile(holder);
  if (text === undefined) return undefined;
  let record: HolderRecord;
  try {
    record = holderSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new SanctumError(
      'io',
      `${holder} cannot be read: ${messageOf(error)}. Remove it: the service writes it again.`,
      { cause: error, param: holder },
    );
  }
  return isAlive(record.pid) ? record : undefined;
}

/** Whether every part of a service has taken over its certificate files as they lie on disk now. */
export async function hasTakenOver({ follows }: HolderRecord): Promise<boolean> {
  const marks = await Promise.all(follows.map(({ paths }) => fileMark(paths)));
  return follows.every(({ taken }, at) => taken === marks[at]);
}

async function statOf(path: string): Promise<Stats | undefined> {
  return stat(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) === 'EPERM';
  }
}
