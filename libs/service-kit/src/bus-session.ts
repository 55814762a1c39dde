import {
  jetstream,
  jetstreamManager,
  JetStreamApiError,
  type JetStreamClient,
} from '@nats-io/jetstream';
import { Svcm } from '@nats-io/services';
import { connect, nanos, type NatsConnection } from '@nats-io/transport-node';
import {
  inboxPrefix,
  SERVICES,
  STREAMS,
  streamsOf,
  type ServiceName,
  type StreamDefinition,
} from '@sanctum/contracts';
import { clientTlsOptions, readTlsFiles, type TlsPaths } from '@sanctum/identity';
import { messageOf } from '@sanctum/errors';
import type { Logger } from 'pino';
import type { SpoolEntry } from './spool.js';

export interface SessionOptions {
  readonly service: ServiceName;
  readonly version: string;
  readonly instance: string;
  /** `tls://127.0.0.1:4222`. */
  readonly url: string;
  readonly tls: TlsPaths;
  readonly logger: Logger;
}

const CONNECT_TIMEOUT_MS = 5000;
const PING_INTERVAL_MS = 10_000;
const ACK_TIMEOUT_MS = 5000;

/** One connection from its handshake to its end. A new one is made when it ends; none is revived. */
export class BusSession {
  readonly connection: NatsConnection;
  readonly #jetstream: JetStreamClient;
  readonly #options: SessionOptions;
  #streamsExist = false;

  private constructor(connection: NatsConnection, options: SessionOptions) {
    this.connection = connection;
    this.#options = options;
    this.#jetstream = jetstream(connection, { timeout: ACK_TIMEOUT_MS });
  }

  /** Connects with the certificate as it lies on disk now, so that a renewed one is picked up. */
  static async open(options: SessionOptions): Promise<BusSession> {
    const { service, instance, version, logger } = options;
    const identity = SERVICES[service];
    const material = await readTlsFiles(options.tls, 'client');
    const connection = await connect({
      servers: options.url,
      name: `sanctum-${service}`,
      tls: clientTlsOptions(material),
      inboxPrefix: inboxPrefix(identity),
      timeout: CONNECT_TIMEOUT_MS,
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: 2,
      reconnect: false,
      noAsyncTraces: true,
    });
    void reportErrors(connection, logger);
    const session = new BusSession(connection, options);
    try {
      await session.#ensureStreams().catch((error: unknown) => {
        logger.warn({ err: error }, 'streams_unavailable');
      });
      await new Svcm(connection).add({
        name: service,
        version,
        description: `Sanctum ${service} of ${instance}`,
        metadata: { instance },
      });
    } catch (error) {
      await connection.close();
      throw error;
    }
    return session;
  }

  /** `taken`, `refused` for good, or a rejection: not now. */
  async deliver(entry: SpoolEntry): Promise<'taken' | 'refused'> {
    try {
      if (!this.#streamsExist) await this.#ensureStreams();
      await this.#jetstream.publish(entry.subject, entry.payload, { msgID: entry.id });
      return 'taken';
    } catch (error) {
      if (isRefusal(error)) return 'refused';
      // Nobody listens when a stream is gone, with the store of a server that was set up anew.
      this.#streamsExist = false;
      throw error;
    }
  }

  /** Makes the streams this service publishes to, where they are missing. */
  async #ensureStreams(): Promise<void> {
    const { service, logger } = this.#options;
    const manager = await jetstreamManager(this.connection, { checkAPI: false });
    for (const name of streamsOf(SERVICES[service])) {
      try {
        await manager.streams.add(streamConfig(STREAMS[name]));
      } catch (error) {
        if (!(error instanceof JetStreamApiError)) throw error;
        // It exists with other limits: the operator changed them, or this is another version.
        logger.warn({ stream: name, reason: messageOf(error) }, 'stream_kept');
      }
    }
    this.#streamsExist = true;
  }
}

/** How a stream is declared to the server. */
export function streamConfig(stream: StreamDefinition) {
  return {
    name: stream.name,
    subjects: [...stream.subjects],
    max_msgs: stream.messagesMax,
    max_bytes: stream.bytesMax,
    max_msg_size: stream.messageBytesMax,
    max_age: nanos(stream.ageMaxMs),
    duplicate_window: nanos(stream.duplicateWindowMs),
  };
}

/** The server understood and said no: sending the same again would be said no to again. */
function isRefusal(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.status >= 400 && error.status < 500;
}

async function reportErrors(connection: NatsConnection, logger: Logger): Promise<void> {
  for await (const status of connection.status()) {
    if (status.type === 'error') logger.warn({ err: status.error }, 'bus_error');
  }
}
