export {
  EMPTY_HEAD,
  GENESIS,
  LINE_BYTES_MAX,
  parseLine,
  type AuditLine,
  type ChainHead,
} from './audit-line.js';
export { AuditLog } from './audit-log.js';
export {
  AUDIT_DEFAULTS,
  type AuditData,
  type AuditOptions,
  type AuditTrouble,
} from './audit-options.js';
export { readLines } from './read-chain.js';
export { listChains, listSegments, type Segment } from './segments.js';
export { ANCHOR_EVENT, verifyChains, type ChainBreak, type ChainReport } from './verify-chain.js';
