export { ControlClient, type SupervisorStatus } from './control-client.js';
export { ControlServer, type ControlServerOptions } from './control-server.js';
export type { Phase } from './lifecycle.js';
export {
  LocalSupervisor,
  type LocalSupervisorOptions,
  type ServiceEvent,
} from './local-supervisor.js';
export { tailLog, type TailOptions } from './log-tail.js';
export { endProcess, hasEnded, reapHome, type ReapedService } from './orphans.js';
export { findPortHolder, isPortFree, type PortHolder } from './port-holder.js';
export { probe, type Probe, type ProbeResult } from './probe.js';
export { DEFAULT_RESTART, type RestartPolicy } from './restart-policy.js';
export type { ServiceManager, ServiceSpec, ServiceStatus } from './service-manager.js';
export { readRecord, type SupervisorRecord } from './supervisor-record.js';
