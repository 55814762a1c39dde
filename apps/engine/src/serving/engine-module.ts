import { Module, type DynamicModule } from '@nestjs/common';
import { LOGGER, METRICS, type Metrics } from '@sanctum/service-kit';
import type { Logger } from 'pino';
import type { WorkerHost } from '../host/worker-host.js';
import { AdminController, InferenceController, ModelsController } from './engine-controllers.js';
import { EngineMetrics } from './engine-metrics.js';
import { Inference } from './inference.js';
import type { ServedModel } from './served-model.js';
import { HOST, INFERENCE, SERVED_MODEL } from './tokens.js';

export interface EngineParts {
  readonly host: WorkerHost;
  readonly model: ServedModel;
  readonly identity: string;
  readonly completionTokensMax: number | undefined;
}

@Module({})
export class EngineModule {
  static with(parts: EngineParts): DynamicModule {
    const { host, model } = parts;
    return {
      module: EngineModule,
      controllers: [InferenceController, ModelsController, AdminController],
      providers: [
        { provide: HOST, useValue: host },
        { provide: SERVED_MODEL, useValue: model },
        {
          provide: EngineMetrics,
          inject: [METRICS],
          useFactory: (metrics: Metrics) => new EngineMetrics(metrics, host),
        },
        {
          provide: INFERENCE,
          inject: [EngineMetrics, LOGGER],
          useFactory: (metrics: EngineMetrics, logger: Logger) =>
            new Inference({ ...parts, metrics, logger }),
        },
      ],
    };
  }
}
