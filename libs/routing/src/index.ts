export {
  ALWAYS_AVAILABLE,
  type Availability,
  type AvailabilityOf,
  type BackendRoute,
  type RoutingPolicy,
} from './backend-route.js';
export { parseObject } from './parse-object.js';
export { RateLimit } from './rate-limit.js';
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
  endWaiting,
  firstByteWaitMs,
  RECONNECT_PAUSE_MS,
  skipUrl,
  startFailover,
  startStreaming,
  type AttemptEnding,
  type AttemptTimeouts,
  type ExhaustedReason,
  type FailoverPolicy,
  type FailoverState,
} from './failover-plan.js';
export {
  classifyOutcome,
  judgeAttempts,
  movesOn,
  type AttemptOutcome,
  type JudgedAttempt,
  type OutcomeClass,
} from './outcome.js';
export { orderUrls, type UrlStanding } from './url-order.js';
export {
  CLOSED_BREAKER,
  DEFAULT_BREAKER,
  FAULT_KINDS,
  type BreakerResult,
  type BreakerSettings,
  type BreakerStanding,
  type BreakerState,
  type FaultKind,
  type Passage,
} from './breaker.js';
export { BREAKERS_PER_URL_MAX, BreakerBook } from './breaker-book.js';
export {
  COOL_DOWN_MS_MIN,
  coolDownMs,
  DEFAULT_COOL_DOWN,
  type CoolDownSettings,
} from './retry-after.js';
export {
  DEFAULT_SLOW_TRIP_COUNT,
  EMA_ALPHA,
  observeLatency,
  type LatencyState,
  type SlownessSettings,
} from './latency-ema.js';
export { LocalCalendar, type LocalDay } from './local-day.js';
export {
  DailyBudgets,
  type BudgetScope,
  type BudgetStanding,
  type BudgetUse,
} from './daily-budget.js';
export {
  AnswerInspector,
  DEFAULT_DETECTORS,
  LINE_CHARS_MAX,
  severityOf,
  type AnswerFinding,
  type AnswerKind,
  type AnswerReport,
  type DetectorSettings,
} from './answer-inspector.js';
export { eventEnd, EventStreamDecoder, wholeEventsEnd, type StreamEvent } from './event-stream.js';
export { FirstContentDetector, type StreamVerdict } from './first-content.js';
export { exceedsJsonElements } from './json-bytes.js';
export { MULTIPART_LIMITS, multipartField } from './multipart-field.js';
export { DECISION_DIAGRAM, renderDecisionTable } from './decision-table.js';
