export {
  UpstreamProgram,
  type UpstreamProgramOptions,
  type UpstreamRequest,
} from './upstreams/upstream-program.js';
