export {
  UpstreamProgram,
  type UpstreamProgramOptions,
  type UpstreamRequest,
} from './upstreams/upstream-program.js';
export { BAD_CERTIFICATES, badCertificate, type BadCertificate } from './bad-certificates.js';
export { acceptedUsers, NATS_HOME_TIMEOUT_MS, startNatsHome, type NatsHome } from './nats-home.js';
export { NatsServer, natsServerPath, type NatsServerOptions } from './nats-server.js';
export { RunningProgram, type ProgramExit, type ProgramOptions } from './running-program.js';
export { createTempHome, type TempHome, type TempHomeOptions } from './temp-home.js';
export { waitUntil, type WaitOptions } from './wait-until.js';
