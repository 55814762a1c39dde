import { z } from 'zod';

/** One request per connection: a JSON line. Answers are JSON lines until the socket ends. */
export const controlRequest = z.discriminatedUnion('verb', [
  z.strictObject({ verb: z.literal('status') }),
  z.strictObject({ verb: z.literal('watch') }),
  z.strictObject({ verb: z.literal('start'), service: z.string() }),
  /** Without a service everything is stopped and the supervisor ends. */
  z.strictObject({ verb: z.literal('stop'), service: z.string().exactOptional() }),
  z.strictObject({ verb: z.literal('restart'), service: z.string() }),
  /** Answered with `done`; the pause lasts until the connection ends, however it ends. */
  z.strictObject({ verb: z.literal('pause'), service: z.string() }),
  z.strictObject({
    verb: z.literal('logs'),
    service: z.string(),
    lines: z.int().min(0).max(100_000),
    follow: z.boolean(),
  }),
]);
export type ControlRequest = z.output<typeof controlRequest>;

const phase = z.enum(['stopped', 'waiting', 'starting', 'ready', 'backoff', 'stopping', 'failed']);

const serviceStatus = z.object({
  name: z.string(),
  state: phase,
  healthy: z.boolean(),
  enabled: z.boolean(),
  pid: z.int().nullable(),
  pids: z.array(z.int()),
  url: z.string(),
  restarts: z.int(),
  startedAt: z.string().nullable(),
  reason: z.string().nullable(),
  inode: z.int().nullable(),
});

const serviceEvent = z.object({
  name: z.string(),
  state: phase,
  reason: z.string().nullable(),
  restarts: z.int(),
  at: z.string(),
});

export const controlAnswer = z.discriminatedUnion('type', [
  z.object({ type: z.literal('done') }),
  z.object({ type: z.literal('status'), pid: z.int(), services: z.array(serviceStatus) }),
  z.object({ type: z.literal('event'), event: serviceEvent }),
  z.object({ type: z.literal('line'), line: z.string() }),
  z.object({ type: z.literal('error'), code: z.string(), message: z.string() }),
]);
export type ControlAnswer = z.output<typeof controlAnswer>;
