import { Module, type DynamicModule } from '@nestjs/common';
import { ControlController } from './control-controller.js';
import { ROUTER_STATE, type RouterState } from './router-state.js';

/** The router's own endpoints. */
@Module({})
export class ControlModule {
  static with(state: RouterState): DynamicModule {
    return {
      module: ControlModule,
      controllers: [ControlController],
      providers: [{ provide: ROUTER_STATE, useValue: state }],
    };
  }
}
