/**
 * An OpenAI-like upstream as a program of its own. The first path segment of a request names how it
 * behaves: `http://127.0.0.1:PORT/dies-midway/v1/chat/completions`. What it receives and how each
 * exchange ends is told to the parent over IPC.
 * usage: fork with one JSON argument {tls?: {ca, cert, key} as paths, port?, keepAliveMs?}
 */
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { behave } from './behaviours.mjs';

const BODY_BYTES_TOLD_MAX = 1 << 20;

const options = JSON.parse(process.argv[2] ?? '{}');
let lastId = 0;
let waiting = [];
/** Exchanges whose request the parent has not noted yet, by id: it knows before the client does. */
const unnoted = new Map();
const sockets = new WeakMap();

function tell(message) {
  if (process.connected) process.send(message);
}

function released() {
  return new Promise((resolve) => waiting.push(resolve));
}

function onRequest(request, response) {
  const id = ++lastId;
  const [, behaviour = '', ...rest] = (request.url ?? '/').split('/');
  const nth = (sockets.get(request.socket) ?? 0) + 1;
  sockets.set(request.socket, nth);
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('error', () => undefined);
  response.on('error', () => undefined);
  response.on('close', () => tell({ event: 'closed', id, whole: response.writableFinished }));
  request.on('end', () => {
    const body = Buffer.concat(pieces);
    unnoted.set(id, () => behave(behaviour, { request, response, body, released, nth }));
    tell({
      event: 'request',
      id,
      behaviour,
      method: request.method,
      path: `/${rest.join('/')}`,
      headers: request.headers,
      bodyBytes: body.length,
      body: body.length <= BODY_BYTES_TOLD_MAX ? body.toString('base64') : '',
      peer: request.socket.getPeerCertificate?.()?.subject?.CN ?? '',
      nth,
    });
  });
}

const handler = (request, response) => onRequest(request, response);
const server = options.tls
  ? https.createServer(
      {
        ca: readFileSync(options.tls.ca),
        cert: readFileSync(options.tls.cert),
        key: readFileSync(options.tls.key),
        requestCert: true,
        rejectUnauthorized: true,
      },
      handler,
    )
  : http.createServer(handler);
server.keepAliveTimeout = options.keepAliveMs ?? 60_000;
server.on('tlsClientError', (error) => tell({ event: 'tls_refused', message: error.message }));
process.on('message', (message) => {
  if (message.command === 'noted') {
    unnoted.get(message.id)?.();
    unnoted.delete(message.id);
    return;
  }
  const resolves = waiting;
  waiting = [];
  for (const resolve of resolves) resolve();
});
process.on('disconnect', () => process.exit(0));
server.listen(options.port ?? 0, '127.0.0.1', () =>
  tell({ event: 'listening', port: server.address().port }),
);
