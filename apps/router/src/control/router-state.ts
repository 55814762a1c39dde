import type { PlanContext } from '../proxy/plan-request.js';
import type { ProxyContext } from '../proxy/proxy-context.js';
import type { BackendProbe } from './backend-probe.js';
import type { ModelLists } from './model-lists.js';

export const ROUTER_STATE = Symbol('sanctum.router.state');

/** What the control endpoints show. */
export interface RouterState
  extends
    PlanContext,
    Pick<ProxyContext, 'access' | 'instance' | 'callers' | 'health' | 'admission'> {
  readonly probe: BackendProbe;
  readonly models: ModelLists;
}
