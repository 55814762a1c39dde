import { z } from 'zod';

const time = z.iso.datetime({ precision: 3 });
const count = z.int().min(0);
const shortText = z.string().max(256);
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
export type EventEnvelope = z.output<typeof eventEnvelopeSchema>;
