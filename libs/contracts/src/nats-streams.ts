import type { StreamName } from './nats-subjects.js';

export interface StreamDefinition {
  readonly name: StreamName;
  readonly subjects: readonly string[];
  readonly messagesMax: number;
  readonly bytesMax: number;
  readonly messageBytesMax: number;
  readonly ageMaxMs: number;
  /** A message id seen within this time is not stored twice: as long as a spool may wait. */
  readonly duplicateWindowMs: number;
}

const DAY_MS = 24 * 3600 * 1000;

/** Kept on disk, oldest dropped at the first limit reached. */
export const STREAMS: Readonly<Record<StreamName, StreamDefinition>> = {
  INCIDENTS: {
    name: 'INCIDENTS',
    subjects: ['sanctum.incident.>'],
    messagesMax: 100_000,
    bytesMax: 64 << 20,
    messageBytesMax: 16 << 10,
    ageMaxMs: 90 * DAY_MS,
    duplicateWindowMs: DAY_MS,
  },
  // What the server says when a consumer gave a message up; the message itself stays in its stream.
  DEADLETTERS: {
    name: 'DEADLETTERS',
    subjects: [
      '$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>',
      '$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>',
    ],
    messagesMax: 10_000,
    bytesMax: 8 << 20,
    messageBytesMax: 4 << 10,
    ageMaxMs: 90 * DAY_MS,
    duplicateWindowMs: 120_000,
  },
};
export const STREAM_NAMES: readonly StreamName[] = ['INCIDENTS', 'DEADLETTERS'];

/** Deliveries of one message to one consumer; then it is a dead letter. */
export const DELIVERIES_MAX = 5;

/** The largest event, envelope included; the bus refuses a larger one before it is stored. */
export const EVENT_BYTES_MAX = 16 << 10;
