import { serviceOf, type Identity } from './identities.js';
import { STREAM_NAMES } from './nats-streams.js';
import {
  inboxPrefix,
  SERVICE_ANSWERS_PREFIX,
  SERVICE_API_SUBJECTS,
  SERVICE_API_VERBS,
  subjectDefinitions,
  subscription,
  type StreamName,
} from './nats-subjects.js';

export interface Permissions {
  /** Allow-lists; everything else is denied. */
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/**
 * What one identity may do on NATS, from the declarations of subjects and streams alone. Nobody has
 * `allow_responses`: who asks chooses the subject of the answer, so that an identity which can ask
 * itself could publish anything.
 */
export function permissionsFor(identity: Identity): Permissions {
  const service = serviceOf(identity);
  const inbox = `${inboxPrefix(identity)}.>`;
  const published = subjectDefinitions().filter((entry) => entry.publishers.includes(identity));
  const subscribed = subjectDefinitions().filter((entry) => entry.subscribers.includes(identity));
  const publish = [
    ...published.map((entry) => entry.subject.replace('{service}', service ?? '')),
    // A publisher makes its stream when it is not there yet, and can neither change nor empty it.
    ...streamsOf(identity).map((name) => `$JS.API.STREAM.CREATE.${name}`),
    ...(identity === 'sanctumctl' ? operatorRequests() : []),
    ...(service === undefined ? [] : [`${SERVICE_ANSWERS_PREFIX}.>`]),
  ];
  const subscribe = [
    inbox,
    ...subscribed.map(subscription),
    ...(service === undefined ? [] : SERVICE_API_VERBS.flatMap((verb) => questions(verb, service))),
  ];
  return { publish, subscribe };
}

/** A question to all, to this service, and to one instance of it. */
function questions(verb: string, service: string): string[] {
  return [`$SRV.${verb}`, `$SRV.${verb}.${service}`, `$SRV.${verb}.${service}.*`];
}

/** The streams an identity needs: those it publishes to, and that of what consumers give up. */
export function streamsOf(identity: Identity): readonly StreamName[] {
  const names = subjectDefinitions()
    .filter((entry) => entry.publishers.includes(identity))
    .flatMap((entry) => entry.stream ?? []);
  return names.length === 0 ? [] : [...new Set<StreamName>([...names, 'DEADLETTERS'])];
}

/** The operator reads and manages streams, says again what was given up, and asks the services. */
function operatorRequests(): string[] {
  return [
    ...subjectDefinitions().flatMap((entry) => (entry.stream === undefined ? [] : entry.subject)),
    '$JS.API.STREAM.MSG.DELETE.DEADLETTERS',
    SERVICE_API_SUBJECTS,
    '$JS.API.INFO',
    '$JS.API.STREAM.NAMES',
    '$JS.API.STREAM.LIST',
    ...STREAM_NAMES.flatMap((name) => [
      ...['CREATE', 'UPDATE', 'INFO', 'MSG.GET'].map((verb) => `$JS.API.STREAM.${verb}.${name}`),
      `$JS.API.CONSUMER.*.${name}`,
      `$JS.API.CONSUMER.*.${name}.>`,
      `$JS.API.CONSUMER.MSG.NEXT.${name}.>`,
      `$JS.API.DIRECT.GET.${name}`,
      `$JS.API.DIRECT.GET.${name}.>`,
      `$JS.ACK.${name}.>`,
    ]),
  ];
}
