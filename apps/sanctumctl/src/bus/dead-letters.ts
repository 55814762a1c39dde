import { jetstream, jetstreamManager, JetStreamApiError } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';

/** A message that a consumer gave up, as the server said so. */
export interface DeadLetter {
  /** In DEADLETTERS; what `bus replay` is told. */
  readonly number: number;
  readonly at: string;
  readonly stream: string;
  readonly consumer: string;
  /** Of the message, in its stream. */
  readonly sequence: number;
  readonly deliveries: number;
  readonly reason: 'max_deliveries' | 'terminated';
  /** Undefined when the stream has let go of the message since. */
  readonly message: { readonly subject: string; readonly payload: string } | undefined;
}

interface Advisory {
  readonly type: string;
  readonly timestamp: string;
  readonly stream: string;
  readonly consumer: string;
  readonly stream_seq: number;
  readonly deliveries: number;
}

const STREAM = 'DEADLETTERS';
/** Error codes of JetStream: a message, or a stream, that is not there. */
const NOT_FOUND = new Set([10037, 10059]);

/** Every dead letter that is kept, the oldest first. */
export async function readDeadLetters(connection: NatsConnection): Promise<DeadLetter[]> {
  const { streams } = await jetstreamManager(connection, { checkAPI: false });
  const state = await orUndefined(async () => (await streams.info(STREAM)).state);
  const letters: DeadLetter[] = [];
  if (state === undefined) return letters;
  for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq += 1) {
    const stored = await orUndefined(() => streams.getMessage(STREAM, { seq }));
    if (stored === undefined || stored === null) continue;
    const advisory = stored.json<Advisory>();
    const message = await orUndefined(() =>
      streams.getMessage(advisory.stream, { seq: advisory.stream_seq }),
    );
    letters.push({
      number: seq,
      at: advisory.timestamp,
      stream: advisory.stream,
      consumer: advisory.consumer,
      sequence: advisory.stream_seq,
      deliveries: advisory.deliveries,
      reason: advisory.type.includes('max_deliver') ? 'max_deliveries' : 'terminated',
      message:
        message === undefined || message === null
          ? undefined
          : { subject: message.subject, payload: message.string() },
    });
  }
  return letters;
}

/**
 * Publishes the message of a dead letter again and forgets the letter. Its envelope keeps its id,
 * so that a consumer that did count it counts it once. Returns false when the message is gone.
 */
export async function replayDeadLetter(
  connection: NatsConnection,
  letter: DeadLetter,
): Promise<boolean> {
  const { message, number } = letter;
  if (message === undefined) return false;
  // An id of its own: under that of the first time the stream would not store it again.
  const msgID = `replay-${number}-${letter.at}`;
  await jetstream(connection).publish(message.subject, message.payload, { msgID });
  const { streams } = await jetstreamManager(connection, { checkAPI: false });
  await streams.deleteMessage(STREAM, number, false);
  return true;
}

async function orUndefined<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof JetStreamApiError && NOT_FOUND.has(error.code)) return undefined;
    throw error;
  }
}
