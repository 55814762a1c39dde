import { once } from 'node:events';
import { clearInterval, setInterval } from 'node:timers';
import { setImmediate as turn } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { anthropic } from './anthropic.mjs';
import { PROVIDERS } from './providers.mjs';
import { THINKERS } from './thinkers.mjs';

const STREAM_HEAD = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  'x-sanctum-model-digest': 'sha256:0123',
};

/** Everything an upstream may do to a router. `status-NNN` answers with that status. */
const BEHAVIOURS = {
  well: (exchange) => (wantsStream(exchange) ? stream(exchange, () => whole()) : json(exchange)),
  echo: ({ request, response, body }) => {
    const told = { method: request.method, url: request.url, body: body.toString('utf8') };
    sendJson(response, 200, { ...told, headers: request.headers });
  },
  stall: () => undefined,
  'stall-after-preamble': ({ response }) => {
    response.writeHead(200, STREAM_HEAD);
    response.write(`: waiting\n\n${delta({ role: 'assistant', content: '' })}`);
  },
  'stall-midway': ({ response }) => {
    response.writeHead(200, STREAM_HEAD);
    response.write(delta({ content: 'token ' }));
  },
  endless: (exchange) => {
    const { response } = exchange;
    const isStream = wantsStream(exchange);
    const piece = isStream ? delta({ content: 'token ' }) : ' ';
    response.writeHead(200, isStream ? STREAM_HEAD : { 'content-type': 'application/json' });
    const ticking = setInterval(() => response.write(piece), TICK_MS);
    response.on('close', () => clearInterval(ticking));
  },
  'die-before-answer': ({ request }) => request.socket.destroy(),
  'die-before-content': ({ request, response }) => {
    response.writeHead(200, STREAM_HEAD);
    response.write(delta({ role: 'assistant', content: '' }), () => request.socket.destroy());
  },
  'die-midway': ({ request, response }) => {
    response.writeHead(200, STREAM_HEAD);
    response.write(delta({ content: 'token ' }));
    response.write('data: {"id":"chatcmpl-x","cho', () => request.socket.destroy());
  },
  'die-before-length': ({ request, response }) => {
    response.writeHead(200, { ...STREAM_HEAD, 'content-length': 10_000 });
    response.write(delta({ content: 'token ' }), () => request.socket.destroy());
  },
  'die-in-json': ({ request, response }) => {
    const text = JSON.stringify(completion('mock'));
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': text.length });
    response.write(text.slice(0, 20), () => request.socket.destroy());
  },
  'die-in-large-json': ({ request, response }) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1 << 22 });
    response.write(`{"x":"${'y'.repeat(1 << 20)}`, () => request.socket.destroy());
  },
  'error-event': (exchange) =>
    stream(exchange, () => [`data: {"error":{"message":"out of memory","code":500}}\n\n`]),
  'empty-stream': (exchange) => stream(exchange, () => ['data: [DONE]\n\n']),
  repeats: (exchange) =>
    stream(exchange, () => [...Array(60).fill(delta({ content: '190/ ' })), 'data: [DONE]\n\n']),
  thinks: (exchange) =>
    stream(exchange, () => [delta({ content: '<think>hm</think> 4' }), 'data: [DONE]\n\n']),
  'thinks-by-length': ({ response }) => {
    const text = `${delta({ content: '<think>hm</think>4' })}data: [DONE]\n\n`;
    response.writeHead(200, { ...STREAM_HEAD, 'content-length': text.length });
    response.end(text);
  },
  'says-usage': (exchange) =>
    stream(exchange, () => [
      delta({ content: '4' }),
      `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 12, completion_tokens: 40 } })}\n\n`,
      'data: [DONE]\n\n',
    ]),
  'says-no-usage': ({ response }) => {
    const { id, choices } = completion('mock');
    choices[0].message.content = Array.from({ length: 400 }, (_, index) => index).join(' ');
    sendJson(response, 200, { id, choices });
  },
  html: ({ response }) => {
    response.writeHead(502, { 'content-type': 'text/html' });
    response.end('<html><body><h1>502 Bad Gateway</h1></body></html>');
  },
  loading: ({ response }) => {
    response.setHeader('retry-after', '3');
    sendJson(response, 503, { error: { message: 'loading', type: 'api_error', code: 'loading' } });
  },
  'string-error': ({ response }) => sendJson(response, 404, { error: 'no such adapter' }),
  'huge-error': ({ response }) => {
    response.writeHead(500, { 'content-type': 'application/json' });
    response.end(`{"error":"${'x'.repeat(1 << 20)}"}`);
  },
  crlf: (exchange) => stream(exchange, () => [whole().join('').replaceAll('\n', '\r\n')]),
  'split-utf8': (exchange) => dripped(exchange, bytesOf(split('Ünïcödé 😀 ok'))),
  drip: (exchange) => dripped(exchange, bytesOf(whole().join(''))),
  gated: async ({ response, released }) => {
    response.writeHead(200, STREAM_HEAD);
    response.write(delta({ role: 'assistant', content: '' }) + delta({ content: 'token ' }));
    await released();
    response.end(whole().join(''));
  },
  'gated-preamble': async ({ response, released }) => {
    response.writeHead(200, STREAM_HEAD);
    response.write(delta({ role: 'assistant', content: '' }));
    await released();
    response.end(whole().join(''));
  },
  'gated-json': async (exchange) => {
    await exchange.released();
    json(exchange);
  },
  'gated-500': async (exchange) => {
    await exchange.released();
    answerStatus(exchange, 500);
  },
  'close-second': (exchange) =>
    exchange.nth > 1 ? exchange.request.socket.destroy() : json(exchange),
  gzip: ({ response }) => {
    const body = gzipSync(JSON.stringify(completion('mock')));
    const head = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    response.writeHead(200, { ...head, 'content-length': body.length });
    response.end(body);
  },
  flood: async ({ request, response }) => {
    response.writeHead(200, STREAM_HEAD);
    const chunk = delta({ content: 'x'.repeat(60_000) });
    for (let sent = 0; sent < FLOOD_CHUNKS && !request.socket.destroyed; sent++) {
      if (!response.write(chunk))
        await Promise.race([once(response, 'drain'), once(response, 'close')]);
    }
    response.end('data: [DONE]\n\n');
  },
};

const FLOOD_CHUNKS = 1_000;
const TICK_MS = 20;

export function behave(name, exchange) {
  const status = /^status-(\d{3})$/.exec(name);
  if (status) {
    answerStatus(exchange, Number(status[1]));
    return;
  }
  if (name === 'zoo-anthropic') {
    anthropic(exchange);
    return;
  }
  if (exchange.request.method === 'GET' && exchange.request.url.endsWith('/v1/models')) {
    const data = [{ id: `${name}-model`, object: 'model', owned_by: 'upstream' }];
    if (!name.startsWith('stall')) sendJson(exchange.response, 200, { object: 'list', data });
    return;
  }
  const behaviour = BEHAVIOURS[name] ?? PROVIDERS[name] ?? THINKERS[name];
  if (behaviour === undefined) {
    sendJson(exchange.response, 404, { error: { message: `no behaviour ${name}`, code: 'x' } });
    return;
  }
  void behaviour(exchange);
}

function answerStatus({ response }, status) {
  if (status === 204) {
    response.writeHead(204).end();
    return;
  }
  if (status === 429) response.setHeader('retry-after', '7');
  sendJson(response, status, {
    error: { message: `upstream says ${status}`, type: 'upstream_error', code: `s${status}` },
  });
}

function wantsStream({ body }) {
  return /"stream"\s*:\s*true/.test(body.toString('latin1'));
}

function json({ response, body }) {
  let model = 'none';
  try {
    model = JSON.parse(body.toString('utf8')).model;
  } catch {
    model = 'unreadable';
  }
  response.setHeader('x-sanctum-model-digest', 'sha256:0123');
  sendJson(response, 200, completion(model));
}

function sendJson(response, status, value) {
  const text = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': text.length });
  response.end(text);
}

function stream({ response }, chunks) {
  response.writeHead(200, STREAM_HEAD);
  for (const chunk of chunks()) response.write(chunk);
  response.end();
}

async function dripped({ response }, bytes) {
  response.writeHead(200, STREAM_HEAD);
  for (const byte of bytes) {
    response.write(byte);
    await turn();
  }
  response.end();
}

function bytesOf(text) {
  return [...Buffer.from(text)].map((byte) => Buffer.of(byte));
}

function whole() {
  return [
    ': comment\n\n',
    delta({ role: 'assistant', content: '' }),
    delta({ content: '2 + 2 ' }),
    delta({ content: 'equals 4.' }),
    event([{ index: 0, delta: {}, finish_reason: 'stop' }]),
    'data: [DONE]\n\n',
  ];
}

function split(text) {
  return `${delta({ content: text })}data: [DONE]\n\n`;
}

function delta(value) {
  return event([{ index: 0, delta: value, finish_reason: null }]);
}

function event(choices) {
  const chunk = { id: 'chatcmpl-x', object: 'chat.completion.chunk', created: 1, model: 'mock' };
  return `data: ${JSON.stringify({ ...chunk, choices })}\n\n`;
}

function completion(model) {
  const message = { role: 'assistant', content: '2 + 2 equals 4.' };
  return {
    id: 'chatcmpl-x',
    object: 'chat.completion',
    created: 1,
    model,
    choices: [{ index: 0, finish_reason: 'stop', message }],
    usage: { prompt_tokens: 12, completion_tokens: 8, total_tokens: 20 },
  };
}
