// The baseline for a router in Node: read, parse, forward over a keep-alive pool, pipe back.
// usage: bare-proxy.mjs UPSTREAM_PORT; prints its port
import { Agent, createServer, request as open } from 'node:http';

const upstream = Number(process.argv[2]);
const agent = new Agent({ keepAlive: true, maxSockets: 256 });

const server = createServer((request, response) => {
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
