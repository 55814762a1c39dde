import { randomUUID } from 'node:crypto';
import {
  parseChatCompletionRequest,
  parseCompletionRequest,
  type ChatCompletionRequest,
  type CompletionRequest,
} from '@sanctum/contracts';
import { SanctumError } from '@sanctum/errors';
import { parseSampling, type Finish, type GenerationOptions } from '@sanctum/generation';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { AnswerEvent } from '../host/answer-book.js';
import type { WorkerHost } from '../host/worker-host.js';
import type { Prompt } from '../protocol.js';
import { admittedOf } from './admitted.js';
import { StreamWriter, WholeWriter, type AnswerWriter } from './answer-writer.js';
import { ChatDialect } from './chat-dialect.js';
import { CompletionDialect } from './completion-dialect.js';
import type { AnswerHead } from './dialect.js';
import type { EngineMetrics, InferenceOutcome } from './engine-metrics.js';
import { assertPromptFits, chatPrompt, completionPrompt, limitCompletion } from './prompt.js';
import { provenanceHeaders, systemFingerprint, type ServedModel } from './served-model.js';

export interface InferenceOptions {
  readonly host: WorkerHost;
  readonly model: ServedModel;
  /** The engine's own, as certificates spell it. */
  readonly identity: string;
  readonly completionTokensMax: number | undefined;
  readonly metrics: EngineMetrics;
  readonly logger: Logger;
}

export type Endpoint = 'chat' | 'completion';

interface Asked {
  readonly request: ChatCompletionRequest | CompletionRequest;
  readonly prompt: Prompt;
  readonly options: GenerationOptions;
}

/** Turns a checked request into work for the model, and what the model says into an answer. */
export class Inference {
  readonly #options: InferenceOptions;

  constructor(options: InferenceOptions) {
    this.#options = options;
  }

  /** Resolves when the answer has ended. Rejects while nothing of it has been sent. */
  async answer(endpoint: Endpoint, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const asked = this.#read(endpoint, request.body);
    const stream = asked.request.stream ?? false;
    const id = `${endpoint === 'chat' ? 'chatcmpl' : 'cmpl'}-${randomUUID().replaceAll('-', '')}`;
    const writer = this.#writer({ endpoint, id, asked, request, reply });
    const { transport, client } = admittedOf(request.raw);
    const startedMs = performance.now();
    const outcome = await this.#run({ id, client, asked, writer, reply });
    this.#options.metrics.recordInference({ ...outcome, stream });
    this.#options.logger.info(
      {
        requestId: request.id,
        ...{ client, transport, endpoint, stream },
        stopReason: outcome.stopReason,
        promptTokens: outcome.finish?.promptTokens,
        completionTokens: outcome.finish?.completionTokens,
        totalMs: Math.round(performance.now() - startedMs),
        modelDigest: this.#options.model.digest,
        ...(outcome.error === undefined ? {} : { reason: outcome.error.code }),
      },
      'answered',
    );
    if (outcome.error !== undefined && !reply.raw.headersSent) throw outcome.error;
    reply.hijack();
  }

  #read(endpoint: Endpoint, body: unknown): Asked {
    const { host, completionTokensMax } = this.#options;
    host.assertServing();
    const [request, prompt] = read(endpoint, body);
    this.assertModel(request.model);
    assertPromptFits(prompt, host.info?.contextLength ?? 0);
    const options = limitCompletion(parseSampling(request), completionTokensMax);
    return { request, prompt, options };
  }

  /** Throws `model_not_found` for a name that is not served; none at all means the one that is. */
  assertModel(name: string | undefined): void {
    const { id } = this.#options.model;
    if (name === undefined || name === id) return;
    throw new SanctumError(
      'model_not_found',
      `The model ${JSON.stringify(name)} is not served here; this engine serves "${id}".`,
      { param: 'model' },
    );
  }

  #writer(parts: {
    readonly endpoint: Endpoint;
    readonly id: string;
    readonly asked: Asked;
    readonly request: FastifyRequest;
    readonly reply: FastifyReply;
  }): AnswerWriter {
    const { model, host, identity } = this.#options;
    const { endpoint, asked, request, reply } = parts;
    const library = host.info?.library;
    const head: AnswerHead = {
      id: parts.id,
      created: Math.floor(Date.now() / 1000),
      model: model.id,
      fingerprint: systemFingerprint(model, library),
    };
    const common = {
      response: reply.raw,
      dialect: endpoint === 'chat' ? new ChatDialect(head) : new CompletionDialect(head),
      headers: {
        'x-request-id': request.id,
        ...provenanceHeaders(model, library, identity),
      },
    };
    if (asked.request.stream !== true) return new WholeWriter(common);
    const includeUsage = asked.request.stream_options?.include_usage ?? false;
    return new StreamWriter({ ...common, includeUsage });
  }

  /** Submits, and follows the events to the one end there is. Never rejects. */
  #run(work: {
    readonly id: string;
    readonly client: string;
    readonly asked: Asked;
    readonly writer: AnswerWriter;
    readonly reply: FastifyReply;
  }): Promise<Omit<InferenceOutcome, 'stream'> & { readonly error?: SanctumError }> {
    const { host } = this.#options;
    const { id, client, asked, writer, reply } = work;
    const response = reply.raw;
    const cancel = (): void => host.cancel(id);
    return new Promise((resolve, reject) => {
      const finished = (finish: Finish): void => {
        writer.end(finish);
        resolve({ stopReason: finish.reason, finish });
      };
      const sink = (event: AnswerEvent): void => {
        switch (event.type) {
          case 'accepted':
            break;
          case 'delta':
            if (!writer.write(event.delta)) cancel();
            if (event.delta.finish !== undefined) finished(event.delta.finish);
            break;
          case 'failed':
            writer.fail(event.error);
            resolve({ stopReason: 'error', finish: undefined, error: event.error });
            break;
          case 'cancelled':
            response.destroy();
            resolve({ stopReason: 'cancelled', finish: undefined });
            break;
        }
      };
      response.once('close', cancel);
      try {
        host.submit({ id, client, prompt: asked.prompt, options: asked.options }, sink);
        // The client may have left while its body was read.
        if (response.destroyed) cancel();
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }
}

function read(
  endpoint: Endpoint,
  body: unknown,
): [ChatCompletionRequest | CompletionRequest, Prompt] {
  if (endpoint === 'chat') {
    const chat = parseChatCompletionRequest(body);
    return [chat, chatPrompt(chat)];
  }
  const completion = parseCompletionRequest(body);
  return [completion, completionPrompt(completion)];
}
