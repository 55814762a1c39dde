// An upstream with faults, for the soak; the first segment of the path says how it behaves.
// usage: soak-upstream.mjs; prints its port
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const CHUNKS = 64;
const PACE_MS = 4;
const base = { id: 'chatcmpl-soak', created: 1, model: 'soak' };
const USAGE = { prompt_tokens: 12, completion_tokens: 2, total_tokens: 14 };
const message = { role: 'assistant', content: 'Four.' };
const ANSWER = json({
  ...base,
  object: 'chat.completion',
  choices: [{ index: 0, finish_reason: 'stop', message }],
  usage: USAGE,
});
const EMBEDDING = json({
  object: 'list',
  model: 'soak',
  data: [{ object: 'embedding', index: 0, embedding: Array.from({ length: 256 }, Math.cos) }],
  usage: USAGE,
});
const MODELS = json({ object: 'list', data: [{ id: 'soak', object: 'model', owned_by: 'soak' }] });
const FAULT = json({ error: { message: 'on purpose', type: 'api_error', code: 'soak' } });

let shaken = 0;
let died = 0;

const BEHAVIOURS = {
  good: (exchange) => (exchange.streamed ? stream(exchange) : send(exchange, 200, ANSWER)),
  paced: async ({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let at = 0; at < CHUNKS && !response.destroyed; at += 1) {
      response.write(event({ content: `word${at} ` }));
      await delay(PACE_MS);
    }
    response.end(event({}, 'stop') + 'data: [DONE]\n\n');
  },
  /** Two of four fail, each in another way; never so many in a row that a breaker opens. */
  shaky: (exchange) => {
    shaken += 1;
    if (shaken % 4 === 1) send(exchange, 503, FAULT);
    else if (shaken % 4 === 3) exchange.request.socket.destroy();
    else BEHAVIOURS.good(exchange);
  },
  /** Every other stream breaks off in the middle of an event. */
  dying: (exchange) => {
    died += 1;
    if (died % 2 === 0) return stream(exchange);
    const { request, response } = exchange;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(event({ content: 'word ' }));
    return response.write('data: {"id":"chatcmpl-soak","cho', () => request.socket.destroy());
  },
};

function answer(exchange, behaviour, target) {
  if (target.endsWith('/models')) send(exchange, 200, MODELS);
  else if (target.endsWith('/embeddings')) send(exchange, 200, EMBEDDING);
  else if (!target.endsWith('/chat/completions')) send(exchange, 404, FAULT);
  else void BEHAVIOURS[behaviour](exchange);
}

async function stream({ response }) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (let at = 0; at < CHUNKS && !response.destroyed; at += 1) {
    if (!response.write(event({ content: `word${at} ` })))
      await Promise.race([once(response, 'drain'), once(response, 'close')]);
  }
  response.end(event({}, 'stop') + 'data: [DONE]\n\n');
}

function send({ response }, status, body) {
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': body.length,
  });
  response.end(body);
}

function event(delta, finish = null) {
  const choices = [{ index: 0, delta, finish_reason: finish }];
  return `data: ${JSON.stringify({ ...base, object: 'chat.completion.chunk', choices })}\n\n`;
}

function json(value) {
  return Buffer.from(JSON.stringify(value));
}

const server = createServer((request, response) => {
  const [, behaviour, ...rest] = request.url.split('/');
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('error', () => undefined);
  response.on('error', () => undefined);
  request.on('end', () => {
    const streamed = Buffer.concat(parts).includes('"stream":true');
    answer({ request, response, streamed }, behaviour, rest.join('/'));
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
