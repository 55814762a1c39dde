import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { HomePaths } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { hasTakenOver, readHolder } from './certificate-holder.js';
import {
  awaitAnswer,
  clearSpoolFiles,
  readSpoolFile,
  requestFiles,
  writeSpoolFile,
} from './request-spool.js';

/** What came of asking a service for a request. */
export type Asked =
  | { readonly state: 'answered'; readonly challenge: string; readonly text: string }
  | { readonly state: 'refused'; readonly reason: string };

/** A running service looks five times a second; one that is busy has this long. */
export const ANSWER_TIMEOUT_MS = 5000;
const TAKEN_OVER_TIMEOUT_MS = 15_000;

/**
 * Asks the services that run for certificate requests, all at once. Identities that no service
 * holds, and services that do not answer in time, are left out of what is returned.
 */
export async function askHolders(
  home: HomePaths,
  identities: readonly string[],
  timeoutMs: number,
): Promise<ReadonlyMap<string, Asked>> {
  const answers = await Promise.all(
    identities.map(async (identity) => {
      const asked = await ask(home, identity, timeoutMs).catch((error: unknown): Asked => ({
        state: 'refused',
        reason: messageOf(error),
      }));
      return asked === undefined ? [] : [[identity, asked] as const];
    }),
  );
  return new Map(answers.flat());
}

async function ask(
  home: HomePaths,
  identity: string,
  timeoutMs: number,
): Promise<Asked | undefined> {
  if ((await readHolder(home, identity)) === undefined) return undefined;
  const { order, request, answer } = requestFiles(home, identity);
  // Known to this process alone until now: whatever was written for another order is refused.
  const challenge = randomBytes(32).toString('hex');
  await clearSpoolFiles([request, answer]);
  writeSpoolFile(order, challenge);
  try {
    const text = await awaitAnswer(() => readSpoolFile(request), timeoutMs);
    return text === undefined ? undefined : { state: 'answered', challenge, text };
  } finally {
    await clearSpoolFiles([order, request]);
  }
}

export interface Delivery {
  readonly identity: string;
  /** PEM text. */
  readonly cert: string;
}

/** Hands a certificate to the service that asked for it; whether the service put it to its key. */
export async function handOver(
  home: HomePaths,
  { identity, cert }: Delivery,
  timeoutMs: number,
): Promise<boolean> {
  const { answer } = requestFiles(home, identity);
  writeSpoolFile(answer, cert);
  const isThere = async (): Promise<true | undefined> => {
    const present = await readFile(home.client(identity).cert, 'utf8').catch(() => '');
    return present === cert ? true : undefined;
  };
  const taken = await awaitAnswer(isThere, timeoutMs);
  await clearSpoolFiles([answer]);
  return taken === true;
}

/**
 * Resolves when the running services among these have taken over all certificate files as they lie
 * on disk. Throws `io` naming those that have not within 15 seconds.
 */
export async function untilTakenOver(
  home: HomePaths,
  identities: readonly string[],
  timeoutMs = TAKEN_OVER_TIMEOUT_MS,
): Promise<void> {
  const behind = async (): Promise<string[]> => {
    const names = await Promise.all(
      identities.map(async (identity) => {
        const holder = await readHolder(home, identity);
        return holder === undefined || (await hasTakenOver(holder)) ? [] : [identity];
      }),
    );
    return names.flat();
  };
  let late: string[] = [];
  const done = await awaitAnswer(async () => {
    late = await behind();
    return late.length === 0 ? true : undefined;
  }, timeoutMs);
  if (done === true) return;
  throw new SanctumError(
    'io',
    `Certificate files are not taken over by ${late.join(', ')}: nothing more was changed. ` +
      'Their logs say why; put it right, or stop them, and run the same command again.',
  );
}
