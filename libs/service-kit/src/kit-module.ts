import { Global, Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import type { Logger } from 'pino';
import type { Bus } from './bus.js';
import { HealthController, type HealthCheck } from './health.js';
import type { Metrics } from './metrics.js';
import { MetricsController } from './metrics-controller.js';
import type { StateHolder } from './service-state.js';
import { BUS, HEALTH, LOGGER, METRICS, STATE } from './tokens.js';

export interface KitParts {
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly state: StateHolder;
  readonly health: HealthCheck;
  readonly bus: Bus | undefined;
}

/** The root module: what the kit provides, globally, and the service's own module. */
@Global()
@Module({})
export class KitModule {
  static with(
    parts: KitParts,
    service: NonNullable<ModuleMetadata['imports']>[number],
  ): DynamicModule {
    const providers = [
      { provide: LOGGER, useValue: parts.logger },
      { provide: METRICS, useValue: parts.metrics },
      { provide: STATE, useValue: parts.state },
      { provide: HEALTH, useValue: parts.health },
      { provide: BUS, useValue: parts.bus },
    ];
    return {
      module: KitModule,
      imports: [service],
      controllers: [HealthController, MetricsController],
      providers,
      exports: providers,
    };
  }
}
