import { Controller, Get, Header, Inject } from '@nestjs/common';
import type { Metrics } from './metrics.js';
import { METRICS } from './tokens.js';

@Controller('metrics')
export class MetricsController {
  readonly #metrics: Metrics;

  constructor(@Inject(METRICS) metrics: Metrics) {
    this.#metrics = metrics;
  }

  @Get()
  @Header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
  read(): Promise<string> {
    return this.#metrics.registry.metrics();
  }
}
