import { Controller, Get, Inject, Res } from '@nestjs/common';
import { HEALTH, STATE } from './tokens.js';
import type { StateHolder } from './service-state.js';

export interface HealthReport {
  readonly healthy: boolean;
  /** Shown in the body; nothing secret. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Asked by every health request, so it answers from memory and never queues behind work. */
export type HealthCheck = () => HealthReport | Promise<HealthReport>;

interface Reply {
  code(status: number): Reply;
}

/** `/health/live` answers while the process does; `/health` and `/health/ready` while it serves. */
@Controller('health')
export class HealthController {
  readonly #check: HealthCheck;
  readonly #state: StateHolder;

  constructor(@Inject(HEALTH) check: HealthCheck, @Inject(STATE) state: StateHolder) {
    this.#check = check;
    this.#state = state;
  }

  @Get('live')
  live(): object {
    return { status: 'live', state: this.#state.current };
  }

  @Get(['', 'ready'])
  async ready(@Res({ passthrough: true }) reply: Reply): Promise<object> {
    const state = this.#state.current;
    const { healthy, details } = await this.#check();
    const ready = healthy && (state === 'ready' || state === 'degraded');
    reply.code(ready ? 200 : 503);
    return { status: ready ? 'healthy' : 'unhealthy', state, ...details };
  }
}
