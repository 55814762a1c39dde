export { replaceFile, writeFileAtomic } from './atomic-file.js';
export { errnoOf } from './errno.js';
export { exampleInstance, writeExampleInstance, type ExampleOptions } from './example.js';
export { createHome, homePaths, type HomePaths, type KeyPairFiles } from './home-paths.js';
export {
  SERVICE_ALIASES,
  type BackendSection,
  type EngineSection,
  type FallbackSection,
  type Instance,
  type NatsSection,
  type RouterSection,
  type UpstreamSection,
} from './instance-schema.js';
export { INSTANCE_BYTES_MAX, loadInstance, parseInstance } from './load-instance.js';
export { modelTrustFiles, type ModelTrustFiles } from './model-trust.js';
export { PORT_NAMES, PORT_SETTINGS, portsOf, type PortName, type PortTable } from './port-table.js';
export { applyPorts, pickFreePorts, readPorts, writePorts } from './ports.js';
export { tryProcessLock, withProcessLock, type HeldLock } from './process-lock.js';
export {
  commandOf,
  findProcess,
  groupMembers,
  isAlive,
  listProcesses,
  programInode,
  type ProcessEntry,
  type ProcessId,
} from './process-table.js';
export { isPublicHost } from './upstream-url.js';
export { readSecrets, SECRET_BYTES_MAX, secretNames } from './secret-files.js';
