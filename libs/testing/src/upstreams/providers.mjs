/**
 * Servers as they differ on the wire: a whole answer and a stream of each, to the question that was
 * asked. `tools` in the request makes each of them call the first tool.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';

export const PROVIDERS = {
  'zoo-engine': engine,
  'zoo-mlx-lm': mlxLm,
  'zoo-lm-studio': lmStudio,
  'zoo-ollama': ollama,
  'zoo-openai': openai,
  'zoo-openrouter': openrouter,
  'zoo-openrouter-200-error': ({ response }) => {
    json(response, 200, { error: { message: 'Provider returned error', code: 429 } });
  },
  'zoo-openrouter-stream-error': ({ response }) => {
    sse(response, ': OPENROUTER PROCESSING\n\n');
    response.end(`data: ${JSON.stringify({ error: { message: 'Overloaded', code: 502 } })}\n\n`);
  },
  'zoo-openrouter-dies': ({ response }) => {
    sse(response, chunk({ content: 'token ' }));
    const error = { code: 502, message: 'Provider disconnected' };
    response.end(chunk({ content: '' }, 'error', { error }) + DONE);
  },
  'zoo-lm-studio-error': ({ response }) => {
    sse(response, 'event: error\ndata: {"error":{"message":"The model has crashed"}}\n\n');
    response.end();
  },
  'zoo-openai-html': ({ response }) => {
    response.writeHead(503, { 'content-type': 'text/html' });
    response.end('<html><head><title>503 Service Temporarily Unavailable</title></head></html>');
  },
  'zoo-anthropic-overloaded': ({ response }) => {
    const error = { type: 'overloaded_error', message: 'Overloaded' };
    json(response, 529, { type: 'error', error, request_id: 'req_1' });
  },
  'zoo-gzip': ({ response, body }) => {
    const bytes = gzipSync(JSON.stringify(completion(body, { content: ANSWER })));
    const head = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    response.writeHead(200, { ...head, 'content-length': bytes.length });
    response.end(bytes);
  },
  'zoo-stream-unfinished': ({ response }) => {
    sse(response, chunk({ content: 'token ' }));
    response.end();
  },
  'zoo-whole-for-stream': ({ response, body }) =>
    json(response, 200, completion(body, { content: ANSWER })),
};

export const ANSWER = '2 + 2 equals 4. ✓';
export const DONE = 'data: [DONE]\n\n';
const CALL = { id: 'call_1', type: 'function' };
const ARGUMENTS = '{"city":"Bonn"}';
const USAGE = { prompt_tokens: 12, completion_tokens: 8, total_tokens: 20 };

/** Role first, one delta a token, usage in a chunk of its own only when asked for. */
function engine({ response, body }) {
  if (!wants(body).stream) return json(response, 200, completion(body, said(body)));
  sse(response, chunk({ role: 'assistant', content: '' }));
  for (const delta of deltas(body)) response.write(chunk(delta));
  response.write(chunk({}, finish(body)));
  if (wants(body).usage) response.write(usageChunk());
  response.end(DONE);
}

/** HTTP/1.0 in spirit: no length, no keep-alive. Comments while the prompt is read; `reasoning`. */
async function mlxLm({ response, body }) {
  response.shouldKeepAlive = false;
  if (!wants(body).stream) return json(response, 200, completion(body, said(body)));
  sse(response, ': keepalive 0/17\n\n: keepalive 17/17\n\n');
  response.write(chunk({ role: 'assistant', reasoning: 'Add.' }));
  const all = deltas(body);
  for (const delta of all.slice(0, -1)) response.write(chunk({ role: 'assistant', ...delta }));
  response.write(chunk({ role: 'assistant', ...all.at(-1) }, finish(body)));
  if (wants(body).usage) response.write(usageChunk());
  response.end(DONE);
}

/** `event` lines are absent, `data:` has no space, usage comes with the last delta. */
function lmStudio({ response, body }) {
  const stats = { stats: {}, system_fingerprint: 'local' };
  if (!wants(body).stream)
    return json(response, 200, { ...completion(body, said(body)), ...stats });
  sse(response, '');
  for (const delta of deltas(body)) response.write(tight(chunk({ role: 'assistant', ...delta })));
  response.write(tight(chunk({}, finish(body), { usage: USAGE })));
  response.end(tight(DONE));
}

/** A tool call whole in one delta at index 0, and then `stop`; no usage even when asked for. */
function ollama({ response, body }) {
  if (!wants(body).stream) return json(response, 200, completion(body, said(body), 'stop'));
  sse(response, '');
  const call = { ...CALL, index: 0, function: { name: toolOf(body), arguments: ARGUMENTS } };
  const whole = toolOf(body) === undefined ? deltas(body) : [{ content: '', tool_calls: [call] }];
  for (const delta of whole) response.write(chunk({ role: 'assistant', ...delta }));
  response.end(chunk({ role: 'assistant', content: '' }, 'stop') + DONE);
}

/** Null usage in every chunk but the last, which has no choices; padding; chunked, in odd pieces. */
async function openai(exchange) {
  const { request, response, body } = exchange;
  if (request.url.includes('/v1/responses')) return nativeResponses(exchange);
  if (!wants(body).stream) return json(response, 200, completion(body, said(body)));
  const rest = { usage: null, obfuscation: 'x7Hk2', service_tier: 'default' };
  const events = [
    chunk({ role: 'assistant', content: '', refusal: null }, null, rest),
    ...deltas(body).map((delta) => chunk(delta, null, rest)),
    chunk({}, finish(body), rest),
    ...(wants(body).usage ? [usageChunk()] : []),
    DONE,
  ];
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  const bytes = Buffer.from(events.join(''));
  for (let at = 0; at < bytes.length; at += 7) {
    response.write(bytes.subarray(at, at + 7));
    await turn();
  }
  response.end();
}

/** Comments before and between, CRLF, a finish reason of the provider's own beside the mapped one. */
function openrouter({ response, body }) {
  const native = { native_finish_reason: 'STOP', provider: 'Someone' };
  if (!wants(body).stream) {
    // Blank lines while it waits: JSON may begin with them.
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('\n         \n');
    return json(response, 200, { ...completion(body, said(body)), ...native });
  }
  sse(response, crlf(': OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n'));
  for (const delta of deltas(body)) {
    response.write(crlf(`${chunk({ role: 'assistant', ...delta })}: OPENROUTER PROCESSING\n\n`));
  }
  response.write(crlf(chunk({ role: 'assistant', content: '' }, finish(body))));
  response.end(crlf(usageChunk() + DONE));
}

function nativeResponses({ response, body }) {
  const item = { id: 'msg_1', type: 'message', status: 'completed', role: 'assistant' };
  const text = { type: 'output_text', text: ANSWER, annotations: [] };
  const output = [{ ...item, content: [text] }];
  const whole = {
    id: 'resp_native',
    object: 'response',
    status: 'completed',
    model: 'gpt',
    output,
  };
  if (!wants(body).stream) return json(response, 200, whole);
  const at = { item_id: 'msg_1', output_index: 0, content_index: 0 };
  sse(response, named({ type: 'response.created', sequence_number: 0, response: whole }));
  const delta = { ...at, sequence_number: 1, delta: ANSWER, logprobs: [] };
  response.write(named({ type: 'response.output_text.delta', ...delta }));
  response.end(named({ type: 'response.completed', sequence_number: 2, response: whole }));
}

export function wants(body) {
  const text = body.toString('latin1');
  return {
    stream: /"stream"\s*:\s*true/.test(text),
    usage: /"include_usage"\s*:\s*true/.test(text),
  };
}

function toolOf(body) {
  const { tools } = parsed(body);
  return tools?.[0]?.function?.name;
}

function parsed(body) {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return {};
  }
}

function said(body) {
  const name = toolOf(body);
  if (name === undefined) return { content: ANSWER };
  return { content: null, tool_calls: [{ ...CALL, function: { name, arguments: ARGUMENTS } }] };
}

function finish(body) {
  return toolOf(body) === undefined ? 'stop' : 'tool_calls';
}

function deltas(body) {
  const name = toolOf(body);
  if (name === undefined) return ['2 + 2 ', 'equals ', '4. ✓'].map((content) => ({ content }));
  return [
    { tool_calls: [{ index: 0, ...CALL, function: { name, arguments: '' } }] },
    { tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] },
    { tool_calls: [{ index: 0, function: { arguments: '"Bonn"}' } }] },
  ];
}

export function completion(body, message, finishReason = finish(body)) {
  return {
    id: 'chatcmpl-zoo',
    object: 'chat.completion',
    created: 1,
    model: parsed(body).model ?? 'none',
    choices: [
      { index: 0, message: { role: 'assistant', ...message }, finish_reason: finishReason },
    ],
    usage: USAGE,
  };
}

export function chunk(delta, finishReason = null, rest = {}) {
  const head = { id: 'chatcmpl-zoo', object: 'chat.completion.chunk', created: 1, model: 'mock' };
  const choices = [{ index: 0, delta, finish_reason: finishReason }];
  return `data: ${JSON.stringify({ ...head, choices, ...rest })}\n\n`;
}

export function usageChunk() {
  const head = { id: 'chatcmpl-zoo', object: 'chat.completion.chunk', created: 1, model: 'mock' };
  return `data: ${JSON.stringify({ ...head, choices: [], usage: USAGE })}\n\n`;
}

export function named(event) {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

const tight = (text) => text.replaceAll('data: ', 'data:');
const crlf = (text) => text.replaceAll('\n', '\r\n');

export function sse(response, first) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.flushHeaders();
  if (first !== '') response.write(first);
}

/** Without a length, so that it is chunked, or ends with the connection. */
export function json(response, status, value) {
  if (!response.headersSent) response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}
