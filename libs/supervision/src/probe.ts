import { readFileSync } from 'node:fs';
import { get as getHttp, type IncomingMessage } from 'node:http';
import { get as getHttps } from 'node:https';
import { connect } from 'node:net';
import { messageOf } from '@sanctum/errors';

/** How to tell that a service serves. Certificates are read at every probe: they rotate. */
export type Probe =
  | {
      readonly type: 'http';
      readonly url: string;
      readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
    }
  | { readonly type: 'tcp'; readonly host: string; readonly port: number };

export interface ProbeResult {
  readonly healthy: boolean;
  readonly detail: string;
}

/** Asks once; any failure, a late answer included, is a result and never thrown. */
export async function probe(target: Probe, timeoutMs: number): Promise<ProbeResult> {
  try {
    const detail =
      target.type === 'http'
        ? await askHttp(target, timeoutMs)
        : await connectTcp(target, timeoutMs);
    return { healthy: detail === 'ok', detail };
  } catch (error) {
    return { healthy: false, detail: messageOf(error) };
  }
}

function askHttp(target: Extract<Probe, { type: 'http' }>, timeoutMs: number): Promise<string> {
  const credentials =
    target.tls === undefined
      ? {}
      : {
          ca: readFileSync(target.tls.ca),
          cert: readFileSync(target.tls.cert),
          key: readFileSync(target.tls.key),
        };
  const get = target.url.startsWith('https:') ? getHttps : getHttp;
  return new Promise((resolve, reject) => {
    const options = { ...credentials, agent: false, signal: AbortSignal.timeout(timeoutMs) };
    const answered = (response: IncomingMessage) => {
      const status = response.statusCode ?? 0;
      response.resume();
      response.on('error', reject);
      response.on('end', () => resolve(status >= 200 && status < 300 ? 'ok' : `HTTP ${status}`));
    };
    get(target.url, options, answered).on('error', reject);
  });
}

function connectTcp(
  target: { readonly host: string; readonly port: number },
  timeoutMs: number,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: target.host, port: target.port });
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer in ${timeoutMs} ms`)));
    socket.on('error', reject);
    socket.on('connect', () => {
      socket.destroy();
      resolve('ok');
    });
  });
}
