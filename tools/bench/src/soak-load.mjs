// What the clients of the soak do: each kind of request knows which answers are right.
import http from 'node:http';

const REASONS_MAX = 20;

/** Clients over a fixed number of connections; `counts` tells right and wrong answers by kind. */
export class Load {
  counts = {};
  /** Distinct reasons of wrong answers. */
  reasons = new Set();
  #stopped = false;
  #underWay = new Set();
  #rest = Promise.resolve();

  constructor({ port, connections, model }) {
    this.port = port;
    this.connections = connections;
    this.model = model;
    this.agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  }

  get done() {
    return Object.values(this.counts).reduce((sum, { right, wrong }) => sum + right + wrong, 0);
  }

  get wrong() {
    return Object.values(this.counts).reduce((sum, { wrong }) => sum + wrong, 0);
  }

  get isStopped() {
    return this.#stopped;
  }

  /** What is under way ends; nothing begins any more. */
  stop() {
    this.#stopped = true;
  }

  /** Runs the kinds in turn, on every connection from another one on, until told. */
  async run(kinds, until) {
    const worker = async (_, first) => {
      for (let turn = first; !this.#stopped && !until(); turn += 1) {
        await this.#rest;
        const one = this.#one(kinds[turn % kinds.length]);
        this.#underWay.add(one);
        await one;
        this.#underWay.delete(one);
      }
    };
    await Promise.all(Array.from({ length: this.connections }, worker));
  }

  /** Does it while nothing is under way: requests end, and the next ones wait for it. */
  async atRest(act) {
    let end;
    this.#rest = new Promise((resolve) => (end = resolve));
    await Promise.all(this.#underWay);
    await act().finally(end);
  }

  async #one(kind) {
    const count = (this.counts[kind.name] ??= { right: 0, wrong: 0 });
    const wrong = await kind(this).catch((error) => error.code ?? error.message);
    count[wrong === undefined ? 'right' : 'wrong'] += 1;
    if (wrong !== undefined && this.reasons.size < REASONS_MAX) {
      this.reasons.add(`${kind.name}: ${wrong}`);
    }
  }

  get(target) {
    return this.#ask(target, undefined);
  }

  post(target, body) {
    return this.#ask(target, typeof body === 'string' ? body : JSON.stringify(body));
  }

  #ask(target, body) {
    return new Promise((resolve, reject) => {
      const request = this.open(target, body, (response) => {
        const parts = [];
        response.on('data', (part) => parts.push(part));
        response.on('end', () =>
          resolve({ status: response.statusCode, text: Buffer.concat(parts).toString() }),
        );
        response.on('error', reject);
      });
      request.on('error', reject);
    });
  }

  open(target, body, onResponse) {
    const headers =
      body === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const method = body === undefined ? 'GET' : 'POST';
    const to = { host: '127.0.0.1', port: this.port, path: target, method, headers };
    const request = http.request({ ...to, agent: this.agent }, onResponse);
    request.end(body);
    return request;
  }

  chat(model, stream) {
    return { ...this.#asked(model, stream), messages: QUESTION };
  }

  response(model, stream) {
    return { ...this.#asked(model, stream), input: QUESTION[0].content };
  }

  /** A model given to the load stands for all: then one real backend answers everything. */
  #asked(model, stream) {
    return { model: this.model ?? model, stream, ...(this.model ? { max_tokens: 16 } : {}) };
  }
}

const QUESTION = [{ role: 'user', content: 'What is 2+2?' }];
const CHAT = '/v1/chat/completions';
const DONE = 'data: [DONE]\n\n';

async function whole(load) {
  return expectStatus(await load.post(CHAT, load.chat('good', false)), 200);
}

async function stream(load) {
  return expectEnd(await load.post(CHAT, load.chat('good', true)), DONE);
}

/** A client that goes away in the middle of a stream. */
function leave(load) {
  return new Promise((resolve, reject) => {
    const body = JSON.stringify(load.chat('paced', true));
    const request = load.open(CHAT, body, (response) => {
      response.once('data', () => request.destroy());
      response.on('error', () => undefined);
      response.on('close', () => resolve(expectStatus({ status: response.statusCode }, 200)));
    });
    request.on('error', reject);
  });
}

async function failover(load) {
  return expectStatus(await load.post(CHAT, load.chat('shaky', false)), 200);
}

async function failoverStream(load) {
  return expectEnd(await load.post(CHAT, load.chat('shaky', true)), DONE);
}

/** A stream that breaks off ends with an error event; one that does not, with `[DONE]`. */
async function dyingStream(load) {
  const { status, text } = await load.post(CHAT, load.chat('dying', true));
  const isTold = text.endsWith(DONE) || /data: \{"error":.*\n\n$/s.test(text);
  return status === 200 && isTold ? undefined : `${status} …${text.slice(-80)}`;
}

async function messages(load) {
  const body = { ...load.chat('good', true), max_tokens: 16 };
  return expectEnd(await load.post('/v1/messages', body), '{"type":"message_stop"}\n\n');
}

async function responses(load) {
  const { model, input } = load.response('good', false);
  return expectStatus(await load.post('/v1/responses', { model, input }), 200);
}

async function embeddings(load) {
  return expectStatus(await load.post('/v1/embeddings', { model: 'good', input: 'text' }), 200);
}

async function passedThrough(load) {
  return expectStatus(await load.get('/v1/unheard-of'), 404);
}

async function control(load) {
  const answers = [await load.get('/v1/models'), await load.get('/v1/backends')];
  return answers.map((answer) => expectStatus(answer, 200)).find((wrong) => wrong !== undefined);
}

async function malformed(load) {
  return expectStatus(await load.post(CHAT, '{"model":'), 400);
}

function expectStatus({ status, text = '' }, right) {
  return status === right ? undefined : `${status} ${text.slice(0, 80)}`;
}

function expectEnd({ status, text }, end) {
  return status === 200 && text.endsWith(end) ? undefined : `${status} …${text.slice(-80)}`;
}

export const STREAMS = [stream, leave];
/** Against one real backend. */
export const REAL = [whole, stream, leave, messages, responses, control, malformed];
export const MIXED = [
  ...[whole, stream, leave, failover, failoverStream, dyingStream, messages, responses],
  ...[embeddings, passedThrough, control, malformed],
];
