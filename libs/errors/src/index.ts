export { ERROR_CATALOGUE, type ErrorCode, type ErrorDefinition } from './catalogue.js';
export {
  SanctumError,
  isSanctumError,
  messageOf,
  type SanctumErrorOptions,
} from './sanctum-error.js';
export { toEnvelope, type ErrorEnvelope } from './envelope.js';
export { scrub, scrubText } from './scrub.js';
