export {
  ALWAYS_AVAILABLE,
  type Availability,
  type AvailabilityOf,
  type BackendRoute,
  type RoutingPolicy,
} from './backend-route.js';
export { compileRoutingTable, type RoutingTable } from './routing-table.js';
export {
  AUTO_MODEL,
  chooseRoute,
  INTENT_TEXT_CHARS_MAX,
  type RouteDecision,
  type RouteQuery,
  type RouteRule,
  type RouteStep,
} from './choose-route.js';
export { explainRoute } from './explain-route.js';
export { lastUserText, readRequestFields, type RequestFields } from './request-fields.js';
export {
  findModelField,
  prepareModel,
  spliceModel,
  type ByteRange,
  type ModelField,
  type ModelSplice,
} from './splice-model.js';
export {
  afterAttempt,
  ATTEMPT_MS_MIN,
  classifyOutcome,
  firstByteWaitMs,
  movesOn,
  startFailover,
  startStreaming,
  type AttemptOutcome,
  type AttemptTimeouts,
  type ExhaustedReason,
  type FailoverPolicy,
  type FailoverState,
  type OutcomeClass,
} from './failover-plan.js';
export { FirstContentDetector, wholeEventsEnd, type StreamVerdict } from './first-content.js';
export { exceedsJsonElements } from './json-bytes.js';
