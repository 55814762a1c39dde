import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { checkout, type Instance } from './instance.js';

const ENGINE = path.join(checkout, 'apps/engine/dist/bundle/main.mjs');

export interface SecondEngine {
  /** Origin of its plain listener. */
  readonly url: string;
  kill(): void;
}

/** Starts an engine of its own beside the instance's, with the same signed model. */
export async function startSecondEngine(): Promise<SecondEngine> {
  const models = path.join(checkout, 'deploy/models');
  const child = spawn(
    process.execPath,
    [
      ENGINE,
      ...['--model', path.join(models, 'padawan'), '--port', '0'],
      ...['--manifest', path.join(models, 'padawan.manifest.sha256')],
      ...['--manifest-sig', path.join(models, 'padawan.manifest.sha256.sig')],
      ...['--manifest-pubkey', path.join(checkout, 'deploy/trust/manifest-pubkey.ed25519')],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  try {
    const url = await readyUrl(child);
    // It says a line for every request, and must not come to wait until somebody reads them.
    child.stdout.resume();
    return { url, kill: () => child.kill('SIGKILL') };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

/** Names `url` as the fallback of council-secure, in the example that `up` has written. */
export async function addFallback(instance: Instance, url: string): Promise<void> {
  const file = path.join(instance.home, 'instance.yaml');
  const text = await readFile(file, 'utf8');
  const council = text.indexOf('council-secure:', text.indexOf('backends:'));
  const line = text.indexOf('url:', council);
  const indent = text.slice(text.lastIndexOf('\n', line) + 1, line);
  const end = text.indexOf('\n', line) + 1;
  const fallback = `${indent}fallback_urls:\n${indent}  - ${url}/v1\n`;
  await writeFile(file, text.slice(0, end) + fallback + text.slice(end));
}

/** The first listener's URL from the engine's `ready` log line. */
async function readyUrl(child: ChildProcess): Promise<string> {
  if (!child.stdout) throw new Error('the engine was started without a pipe');
  const lines = createInterface({ input: child.stdout });
  const exited = once(child, 'exit').then(() => {
    throw new Error('the second engine ended before it was ready');
  });
  const ready = (async () => {
    for await (const line of lines) {
      const entry = JSON.parse(line) as { msg?: string; addresses?: { url: string }[] };
      if (entry.msg === 'ready' && entry.addresses?.[0]) return entry.addresses[0].url;
    }
    throw new Error('the second engine printed no ready line');
  })();
  return Promise.race([ready, exited]);
}
