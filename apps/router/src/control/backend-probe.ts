import type { Backend, Upstream } from '../upstream/upstream.js';
import { upstreamHeaders } from '../upstream/upstream-headers.js';

/** Longest wait for one URL to answer a probe. */
export const PROBE_TIMEOUT_MS = 2_000;
/** How long what a probe found is shown again. */
export const PROBE_FRESH_MS = 2_000;
const MODELS_PATH = '/models';
/** Of a list of models; a longer one is ignored. */
const LIST_BYTES_MAX = 1 << 20;

export interface UrlState {
  readonly url: string;
  readonly answers: boolean;
  /** HTTP status, or why nothing came. */
  readonly detail: string;
}

export interface BackendState {
  readonly name: string;
  /** Whether any of its URLs answers. */
  readonly healthy: boolean;
  readonly urls: readonly UrlState[];
  /** Model ids the first answering URL lists. */
  readonly models: readonly string[];
}

/** Asks upstreams for `/models`, all at once, at most once per `PROBE_FRESH_MS` for all callers. */
export class BackendProbe {
  readonly #backends: () => readonly Backend[];
  readonly #freshMs: number;
  #states: Promise<readonly BackendState[]> | undefined;
  #askedMs = -Infinity;

  constructor(backends: () => readonly Backend[], freshMs = PROBE_FRESH_MS) {
    this.#backends = backends;
    this.#freshMs = freshMs;
  }

  async states(): Promise<readonly BackendState[]> {
    const now = performance.now();
    if (this.#states === undefined || now - this.#askedMs > this.#freshMs) {
      this.#askedMs = now;
      this.#states = Promise.all(this.#backends().map(probeBackend));
    }
    return this.#states;
  }
}

/** Asks every URL of one backend; never rejects. */
export async function probeBackend(backend: Backend): Promise<BackendState> {
  const asked = await Promise.all(backend.upstreams.map(askModels));
  return {
    name: backend.name,
    healthy: asked.some(({ state }) => state.answers),
    urls: asked.map(({ state }) => state),
    models: asked.find(({ models }) => models.length > 0)?.models ?? [],
  };
}

interface Asked {
  readonly state: UrlState;
  readonly models: readonly string[];
}

/** Any answer below 500 counts: a URL that asks for another credential is there. */
async function askModels(upstream: Upstream): Promise<Asked> {
  const { url } = upstream;
  try {
    const { statusCode, body } = await upstream.pool.request({
      method: 'GET',
      path: upstream.basePath + MODELS_PATH,
      headers: upstreamHeaders(upstream, MODELS_PATH),
      signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    });
    const text = await readLimited(body);
    const models = statusCode === 200 ? listedModels(text) : [];
    return { state: { url, answers: statusCode < 500, detail: `HTTP ${statusCode}` }, models };
  } catch (error) {
    return { state: { url, answers: false, detail: whyNot(error) }, models: [] };
  }
}

async function readLimited(body: AsyncIterable<Buffer>): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes > LIST_BYTES_MAX) return '';
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

function listedModels(text: string): string[] {
  try {
    const { data } = (JSON.parse(text) ?? {}) as { data?: unknown };
    if (!Array.isArray(data)) return [];
    return data
      .map((entry: unknown) => (entry as { id?: unknown } | null)?.id)
      .filter((id) => typeof id === 'string');
  } catch {
    return [];
  }
}

function whyNot(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown };
  return typeof code === 'string' ? code : String(name);
}
