// An upstream that costs next to nothing: a fixed answer, or a stream of N chunks that do not repeat.
// usage: mock-upstream.mjs [CHUNKS] [CA CERT KEY]; prints its port; with files it asks for a client certificate
// The chunks of model `paced` come 5 ms apart, as fast as the fastest engine makes tokens.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';

const PACE_MS = 5;

const chunks = Number(process.argv[2] ?? 64);
const [ca, cert, key] = process.argv.slice(3).map((file) => readFileSync(file));
const base = { id: 'chatcmpl-bench', created: 1, model: 'mock' };
const answer = Buffer.from(
  JSON.stringify({
    ...base,
    object: 'chat.completion',
    choices: [
      { index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'Four.' } },
    ],
    usage: { prompt_tokens: 12, completion_tokens: 2, total_tokens: 14 },
  }),
);
const event = (delta, finish) =>
  `data: ${JSON.stringify({
    ...base,
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, finish_reason: finish }],
  })}\n\n`;

const handler = (request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const body = Buffer.concat(parts);
    if (!body.includes('"stream":true')) {
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': answer.length,
      });
      response.end(answer);
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const pauseMs = body.includes('"model":"paced"') ? PACE_MS : 0;
    void stream(response, pauseMs);
  });
};
async function stream(response, pauseMs) {
  for (let i = 0; i < chunks; i += 1) {
    response.write(event({ content: `word${i} ` }, null));
    if (pauseMs > 0) await delay(pauseMs);
  }
  response.write(event({}, 'stop'));
  response.end('data: [DONE]\n\n');
}

const server =
  ca === undefined
    ? createServer(handler)
    : createTlsServer({ ca, cert, key, requestCert: true, rejectUnauthorized: true }, handler);
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
