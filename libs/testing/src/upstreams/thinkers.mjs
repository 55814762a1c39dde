/** Servers whose models think aloud: in tags within the text, or in a field of their own. */
import { setImmediate as turn } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { ANSWER, chunk, completion, DONE, json, sse, usageChunk, wants } from './providers.mjs';

const THOUGHT = 'Two and two… ✓ <b>4</b>';
const TAGGED = `<think>\n${THOUGHT}\n</think>\n\n${ANSWER}`;
/** A tool's arguments may hold what looks like a thought. */
const CALL = {
  index: 0,
  id: 'call_1',
  type: 'function',
  function: { name: 'note', arguments: '{"text":"<think>mine</think>"}' },
};

export const THINKERS = {
  'thinks-in-tags': ({ response, body }) => {
    if (!wants(body).stream) {
      return json(response, 200, completion(body, { content: TAGGED, tool_calls: calls(body) }));
    }
    return dripped(response, [
      chunk({ role: 'assistant', content: '' }),
      ...pieces(TAGGED, 5).map((content) => chunk({ content })),
      ...(calls(body) === undefined ? [] : [chunk({ tool_calls: calls(body) })]),
      chunk({}, 'stop'),
      usageChunk(),
      DONE,
    ]);
  },
  'thinks-in-fields': ({ response, body }) => {
    if (!wants(body).stream) {
      const said = { content: ANSWER, reasoning_content: THOUGHT, reasoning: THOUGHT };
      return json(response, 200, completion(body, said));
    }
    return dripped(response, [
      chunk({ role: 'assistant', reasoning_content: THOUGHT }),
      chunk({ reasoning: THOUGHT }),
      ...pieces(ANSWER, 3).map((content) => chunk({ content })),
      chunk({}, 'stop'),
      usageChunk(),
      DONE,
    ]);
  },
  /** Cut off by its length before it said anything. */
  'thinks-forever': ({ response, body }) => {
    const content = `<think>${THOUGHT}`;
    if (!wants(body).stream) {
      return json(response, 200, completion(body, { content }, 'length'));
    }
    return dripped(response, [chunk({ content }), chunk({}, 'length'), usageChunk(), DONE]);
  },
  'thinks-compressed': ({ response, body }) => {
    const bytes = gzipSync(JSON.stringify(completion(body, { content: TAGGED })));
    const head = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    response.writeHead(200, { ...head, 'content-length': bytes.length });
    response.end(bytes);
  },
  'thinks-and-dies': ({ request, response }) => {
    sse(response, chunk({ content: `<think>${THOUGHT}</think>4 <` }));
    response.write('data: {"id":"chatcmpl-x","cho', () => request.socket.destroy());
  },
};

function calls(body) {
  return body.includes('"tools"') ? [CALL] : undefined;
}

function pieces(text, length) {
  const characters = [...text];
  const count = Math.ceil(characters.length / length);
  return Array.from({ length: count }, (_, at) =>
    characters.slice(at * length, (at + 1) * length).join(''),
  );
}

/** In pieces that end within events and within characters. */
async function dripped(response, events) {
  sse(response, '');
  const bytes = Buffer.from(events.join(''));
  for (let at = 0; at < bytes.length; at += 11) {
    response.write(bytes.subarray(at, at + 11));
    await turn();
  }
  response.end();
}
