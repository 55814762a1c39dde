import { z } from 'zod';

const time = z.iso.datetime({ precision: 3 });
const count = z.int().min(0);
const shortText = z.string().max(256);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const origin = z.url({ protocol: /^https?$/ }).refine((url) => !/\/\/[^/]*@/.test(url), {
  error: 'a URL without credentials',
});

export const SERVICE_STATES = ['starting', 'ready', 'degraded', 'draining'] as const;

/** Core NATS, every few seconds. A missing one is a reason to look, never proof of death. */
export const heartbeatSchema = z.strictObject({
  service: shortText,
  instance: shortText,
  host: shortText,
  pid: z.int().min(1),
  version: shortText,
  state: z.enum(SERVICE_STATES),
  startedAt: time,
  sentAt: time,
  /** Counts up from 0 since the process started: a smaller one means a restart. */
  sequence: count,
  /** Events that wait on disk, and events lost because the spool was full. */
  spooled: count,
  dropped: count,
});

/** The engine's worker process died and was started again. */
export const workerRestartedSchema = z.strictObject({
  cause: z.enum(['signal', 'exit', 'unresponsive']),
  signal: shortText.optional(),
  exitCode: z.int().optional(),
  /** Restarts since the engine started, this one included. */
  restarts: count,
  requestsLost: count,
  downMs: count.optional(),
  modelDigest: shortText.optional(),
});

/** A request was answered by another URL than its backend's first. */
export const failoverSchema = z.strictObject({
  backend: shortText,
  url: origin,
  winningUrl: origin,
  errorClass: shortText,
  requestId: shortText,
  attempts: count,
  elapsedMs: count.optional(),
});

export const CONFIG_REJECTED_REASON_MAX = 2_000;

/** A changed instance.yaml was not taken over; the service runs on with what it had. */
export const configRejectedSchema = z.strictObject({
  service: shortText,
  reason: z.string().max(CONFIG_REJECTED_REASON_MAX),
});

/** A breaker of the router changed: a URL is left alone for a model, or is used again. */
export const breakerChangedSchema = z.strictObject({
  backend: shortText,
  url: origin,
  model: shortText,
  /** What the fault was that opened it. */
  errorClass: shortText.optional(),
});

/** A backend has spent its completion tokens of the day. */
export const budgetSpentSchema = z.strictObject({
  backend: shortText,
  cap: count,
  used: count,
  resetsAt: time,
});

/** Where the audit chain of a service ends; others write it into theirs. */
export const auditHeadSchema = z.strictObject({
  service: shortText,
  instance: shortText,
  /** Number of the last durable line, and its SHA-256. */
  seq: count,
  hash: sha256,
});

/** A service cannot write its audit, or can again. */
export const auditTroubleSchema = z.strictObject({
  service: shortText,
  kind: z.enum(['stalled', 'dropped', 'recovered']),
  reason: z.string().max(1000).optional(),
  droppedLines: count.optional(),
  stalledMs: count.optional(),
});

/** A model is served although somebody should look at its manifest. */
export const manifestAlertSchema = z.strictObject({
  kind: z.enum(['expired', 'rollback_excepted', 'version_reused']),
  model: shortText,
  digest: sha256,
  message: z.string().max(2000),
});

/** What the bus puts around an event. `id` is the JetStream message id: consumers are idempotent. */
export const eventEnvelopeSchema = z.strictObject({
  id: z.uuid(),
  at: time,
  service: shortText,
  instance: shortText,
  host: shortText,
});

export type ServiceState = (typeof SERVICE_STATES)[number];
export type Heartbeat = z.output<typeof heartbeatSchema>;
export type WorkerRestarted = z.output<typeof workerRestartedSchema>;
export type Failover = z.output<typeof failoverSchema>;
export type ConfigRejected = z.output<typeof configRejectedSchema>;
export type BreakerChanged = z.output<typeof breakerChangedSchema>;
export type BudgetSpent = z.output<typeof budgetSpentSchema>;
export type AuditHead = z.output<typeof auditHeadSchema>;
export type AuditTrouble = z.output<typeof auditTroubleSchema>;
export type ManifestAlert = z.output<typeof manifestAlertSchema>;
export type EventEnvelope = z.output<typeof eventEnvelopeSchema>;
