import { Controller, Get, HttpCode, Inject, Param, Post, Req, Res } from '@nestjs/common';
import type { ModelEntry, ModelList } from '@sanctum/contracts';
import { SanctumError } from '@sanctum/errors';
import { STATE, type StateHolder } from '@sanctum/service-kit';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { WorkerHost } from '../host/worker-host.js';
import { Inference } from './inference.js';
import type { ServedModel } from './served-model.js';
import { HOST, INFERENCE, SERVED_MODEL } from './tokens.js';

/** What the model computes. */
@Controller('v1')
export class InferenceController {
  readonly #inference: Inference;

  constructor(@Inject(INFERENCE) inference: Inference) {
    this.#inference = inference;
  }

  @Post('chat/completions')
  chat(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    return this.#inference.answer('chat', request, reply);
  }

  @Post('completions')
  completion(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    return this.#inference.answer('completion', request, reply);
  }

  @Post('embeddings')
  embeddings(): never {
    throw new SanctumError('unsupported', 'Embeddings are not supported by this version.', {
      param: 'input',
    });
  }
}

/** What is served: from memory, whatever the load. */
@Controller('v1/models')
export class ModelsController {
  readonly #entry: ModelEntry;
  readonly #inference: Inference;

  constructor(@Inject(SERVED_MODEL) model: ServedModel, @Inject(INFERENCE) inference: Inference) {
    this.#entry = { id: model.id, object: 'model', created: model.created, owned_by: 'sanctum' };
    this.#inference = inference;
  }

  @Get()
  list(): ModelList {
    return { object: 'list', data: [this.#entry] };
  }

  @Get(':id')
  one(@Param('id') id: string): ModelEntry {
    this.#inference.assertModel(id);
    return this.#entry;
  }
}

@Controller('admin')
export class AdminController {
  readonly #host: WorkerHost;
  readonly #state: StateHolder;

  constructor(@Inject(HOST) host: WorkerHost, @Inject(STATE) state: StateHolder) {
    this.#host = host;
    this.#state = state;
  }

  /** Takes no new requests and finishes those it has; ends when the process is stopped. */
  @Post('drain')
  @HttpCode(202)
  drain(): object {
    this.#state.set('draining');
    void this.#host.drain();
    return { status: 'draining', open_requests: this.#host.open };
  }

  @Post('adapters')
  adapters(): never {
    throw new SanctumError('unsupported', 'LoRA adapters are not supported by this version.', {
      param: 'adapter',
    });
  }
}
