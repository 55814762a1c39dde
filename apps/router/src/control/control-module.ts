import { Module, type DynamicModule } from '@nestjs/common';
import { OpenApiController } from '../openapi/openapi-controller.js';
import { ControlController } from './control-controller.js';
import { ROUTER_STATE, type RouterState } from './router-state.js';

/** The router's own endpoints. */
@Module({})
export class ControlModule {
  static with(state: RouterState): DynamicModule {
    return {
      module: ControlModule,
      controllers: [ControlController, OpenApiController],
      providers: [{ provide: ROUTER_STATE, useValue: state }],
    };
  }
}
