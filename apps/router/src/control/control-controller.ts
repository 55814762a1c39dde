import type { IncomingMessage } from 'node:http';
import { Controller, Get, Header, Inject, Param, Query, Req, Res } from '@nestjs/common';
import { SanctumError } from '@sanctum/errors';
import { guard } from '@sanctum/service-kit';
import type { CallerPolicy } from '../access/callers.js';
import { describeBackend } from './describe-backend.js';
import { describeRoute } from './describe-route.js';
import { listModels, type ListedModel } from './list-models.js';
import { ROUTER_STATE, type RouterState } from './router-state.js';

interface Reply {
  type(contentType: string): Reply;
}

@Controller('v1')
export class ControlController {
  readonly #state: RouterState;

  constructor(@Inject(ROUTER_STATE) state: RouterState) {
    this.#state = state;
  }

  /** Every name a client may send: backends, their declared names, and what upstreams list. */
  @Get('models')
  async models(): Promise<{ object: 'list'; data: readonly ListedModel[] }> {
    return { object: 'list', data: await this.#listed() };
  }

  /** Ids may hold slashes (`org/model`). */
  @Get('models/*')
  async model(@Param('*') name: string): Promise<ListedModel> {
    const found = (await this.#listed()).find((model) => model.id === name);
    if (found === undefined) {
      const shown = name.slice(0, 200);
      throw new SanctumError('model_not_found', `No backend serves "${shown}".`, {
        param: 'model',
      });
    }
    return found;
  }

  @Get('backends')
  @Header('cache-control', 'no-store')
  async backends(): Promise<object> {
    const { table, backends } = this.#state.routes();
    const states = await this.#state.probe.states();
    return {
      default: table.defaultBackend,
      strict_models: table.strictModels,
      in_flight: this.#state.admission.inFlight,
      callers: this.#state.callers.describe(),
      backends: [...backends.values()].map((backend) =>
        describeBackend(backend, {
          availability: this.#state.availabilityOf(backend.name, undefined),
          health: this.#state.health,
          state: states.find(({ name }) => name === backend.name),
        }),
      ),
    };
  }

  /**
   * `?model=…&prompt=…`: what would happen to who asks, and why; words alone with
   * `Accept: text/plain`.
   */
  @Get('route')
  @Header('cache-control', 'no-store')
  route(
    @Query() query: Record<string, unknown>,
    @Req() { raw }: { raw: IncomingMessage },
    @Res({ passthrough: true }) reply: Reply,
  ): object | string {
    const model = oneText(query, 'model');
    const described = describeRoute(this.#state, {
      model: model === '' ? undefined : model,
      prompt: oneText(query, 'prompt') ?? '',
      policy: this.#policyOf(raw),
    });
    if (raw.headers.accept?.startsWith('text/plain') !== true) return described;
    reply.type('text/plain; charset=utf-8');
    return `${described.explanation.join('\n')}\n`;
  }

  /** Who asks was let in at the front door, by the same look at the request. */
  #policyOf(request: IncomingMessage): CallerPolicy | undefined {
    const { access, instance, callers } = this.#state;
    return callers.of(guard(request, access, instance).identity);
  }

  async #listed(): Promise<readonly ListedModel[]> {
    const { backends } = this.#state.routes();
    return listModels([...backends.values()], await this.#state.models.known());
  }
}

function oneText(query: Record<string, unknown>, name: string): string | undefined {
  const value = query[name];
  if (value === undefined || typeof value === 'string') return value;
  throw new SanctumError('invalid_request', `"${name}" may be given once.`, { param: name });
}
