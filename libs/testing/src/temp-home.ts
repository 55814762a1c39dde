import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createHome, type HomePaths } from '@sanctum/catalog';
import type { Identity } from '@sanctum/contracts';
import { initPki } from '@sanctum/identity';

export interface TempHomeOptions {
  readonly instance?: string;
  /** Who gets a client certificate; with none, no PKI is made at all. */
  readonly identities?: readonly Identity[];
}

export interface TempHome {
  readonly paths: HomePaths;
  readonly instance: string;
  remove(): Promise<void>;
}

/** A home in the temporary folder, with a CA and certificates of its own. */
export async function createTempHome(options: TempHomeOptions = {}): Promise<TempHome> {
  const { instance = 'test', identities = [] } = options;
  const folder = await mkdtemp(path.join(tmpdir(), 'sanctum-test-'));
  const paths = createHome(folder);
  if (identities.length > 0) await initPki({ home: paths, instance, identities });
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true, maxRetries: 3 });
  return { paths, instance, remove };
}
