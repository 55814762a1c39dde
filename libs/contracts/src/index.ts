export { isLocalHost, isLoopback, isLoopbackHost, loopbackOf, withLoopback } from './loopback.js';
export { parseWith } from './parse-with.js';
export { DIALECTS, DIALECT_PATHS, type Dialect } from './dialects.js';
export {
  REQUEST_LIMITS,
  chatCompletionRequestSchema,
  chatMessageSchema,
  completionRequestSchema,
  contentText,
  parseChatCompletionRequest,
  parseCompletionRequest,
  type ChatCompletionRequest,
  type ChatMessage,
  type CompletionRequest,
} from './openai-request.js';
export { IGNORED_FIELDS, UNSUPPORTED_FIELDS, assertSupported } from './openai-support.js';
export {
  SSE_DONE,
  sseEvent,
  type ChatChoice,
  type ChatChunkChoice,
  type ChatCompletion,
  type ChatCompletionChunk,
  type ChatDelta,
  type ChoiceLogprobs,
  type Completion,
  type CompletionChoice,
  type CompletionLogprobs,
  type FinishReason,
  type ModelEntry,
  type ModelList,
  type TokenLogprob,
  type TopLogprob,
  type Usage,
} from './openai-response.js';
export {
  IDENTITIES,
  SERVICES,
  SERVICE_NAMES,
  isIdentity,
  serviceOf,
  type Identity,
  type ServiceName,
} from './identities.js';
export {
  SERVICE_STATES,
  auditHeadSchema,
  auditTroubleSchema,
  breakerChangedSchema,
  budgetSpentSchema,
  eventEnvelopeSchema,
  configRejectedSchema,
  CONFIG_REJECTED_REASON_MAX,
  failoverSchema,
  heartbeatSchema,
  manifestAlertSchema,
  workerRestartedSchema,
  type BreakerChanged,
  type BudgetSpent,
  type AuditHead,
  type AuditTrouble,
  type EventEnvelope,
  type ConfigRejected,
  type Failover,
  type Heartbeat,
  type ManifestAlert,
  type ServiceState,
  type WorkerRestarted,
} from './nats-payloads.js';
export {
  SERVICE_API_SUBJECTS,
  SERVICE_API_VERBS,
  SUBJECTS,
  auditHeadSubject,
  eventSchema,
  heartbeatSubject,
  inboxPrefix,
  SERVICE_ANSWERS_PREFIX,
  subjectDefinitions,
  subscription,
  type EventPayloads,
  type EventSubject,
  type StreamName,
  type SubjectDefinition,
  type SubjectName,
} from './nats-subjects.js';
export {
  DELIVERIES_MAX,
  EVENT_BYTES_MAX,
  STREAMS,
  STREAM_NAMES,
  type StreamDefinition,
} from './nats-streams.js';
export { permissionsFor, streamsOf, type Permissions } from './nats-permissions.js';
export {
  NATS_LIMITS,
  renderNatsConfig,
  type NatsConfigOptions,
  type NatsUser,
} from './nats-config.js';
export {
  natsCapabilities,
  parseNatsVersion,
  type NatsCapabilities,
  type NatsVersion,
} from './nats-version.js';
