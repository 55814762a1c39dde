/** Anthropic as it is on the wire: its own dialect, its own list of models, its own way of keys. */
import { ANSWER, json, named, sse, wants } from './providers.mjs';

const ENDPOINTS = {
  '/messages': messages,
  '/messages/count_tokens': ({ response }) => json(response, 200, { input_tokens: 12 }),
  '/models': ({ response }) => {
    const data = [{ type: 'model', id: 'claude-zoo', display_name: 'Claude' }];
    json(response, 200, { data, has_more: false, first_id: 'claude-zoo', last_id: 'claude-zoo' });
  },
};

/** Nothing is there under `/chat/completions`. */
export function anthropic(exchange) {
  const { headers, url } = exchange.request;
  const [, path = ''] = /\/v1(\/[^?]*)/.exec(url) ?? [];
  const answer = ENDPOINTS[path];
  if (answer === undefined) return refuse(exchange, 404, 'not_found_error', 'no');
  // A bearer is no key there.
  if (headers['x-api-key'] === undefined)
    return refuse(exchange, 401, 'authentication_error', 'x-api-key header is required');
  if (headers['anthropic-version'] === undefined)
    return refuse(exchange, 400, 'invalid_request_error', 'anthropic-version: header is required');
  answer(exchange);
}

function refuse({ response }, status, type, message) {
  json(response, status, { type: 'error', error: { type, message } });
}

function messages({ response, body }) {
  const usage = { input_tokens: 12, output_tokens: 8 };
  const message = { id: 'msg_native', type: 'message', role: 'assistant', model: 'claude' };
  const ended = { stop_reason: 'end_turn', stop_sequence: null };
  const content = [{ type: 'text', text: ANSWER }];
  if (!wants(body).stream) return json(response, 200, { ...message, content, ...ended, usage });
  const events = [
    { type: 'message_start', message: { ...message, content: [], usage } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'ping' },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: ANSWER } },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: ended, usage: { output_tokens: 8 } },
    { type: 'message_stop' },
  ];
  sse(response, '');
  for (const event of events) response.write(named(event));
  response.end();
}
