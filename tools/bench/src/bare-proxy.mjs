// The baseline for a router in Node: read, parse, forward over a keep-alive pool, pipe back.
// usage: bare-proxy.mjs UPSTREAM_PORT [CA CERT KEY]; prints its port; with files it calls over mTLS
import { readFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';

const upstream = Number(process.argv[2]);
const [ca, cert, key] = process.argv.slice(3).map((file) => readFileSync(file));
const { Agent, request: open } = ca === undefined ? http : https;
const agent = new Agent({ keepAlive: true, maxSockets: 256, ca, cert, key });

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const body = Buffer.concat(parts);
    JSON.parse(body);
    const forwarded = open(
      {
        host: '127.0.0.1',
        port: upstream,
        method: request.method,
        path: request.url,
        agent,
        headers: { 'content-type': 'application/json', 'content-length': body.length },
      },
      (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      },
    );
    forwarded.on('error', () => response.writeHead(502).end());
    forwarded.end(body);
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
