import type { z } from 'zod';
import { IDENTITIES, serviceOf, type Identity, type ServiceName } from './identities.js';
import {
  auditHeadSchema,
  auditTroubleSchema,
  breakerChangedSchema,
  budgetSpentSchema,
  configRejectedSchema,
  failoverSchema,
  heartbeatSchema,
  manifestAlertSchema,
  workerRestartedSchema,
  type AuditTrouble,
  type ConfigRejected,
  type BreakerChanged,
  type BudgetSpent,
  type Failover,
  type ManifestAlert,
  type WorkerRestarted,
} from './nats-payloads.js';

export type StreamName = 'INCIDENTS' | 'DEADLETTERS';

export interface SubjectDefinition {
  /** The subject; `{service}` stands for the token of the identity's own service. */
  readonly subject: string;
  readonly summary: string;
  readonly payload: z.ZodType;
  readonly publishers: readonly Identity[];
  readonly subscribers: readonly Identity[];
  /** JetStream keeps it when set; core NATS otherwise. */
  readonly stream?: StreamName;
}

const services = IDENTITIES.filter((identity) => serviceOf(identity) !== undefined);

/** Every subject of Sanctum. Nothing else spells one. */
export const SUBJECTS = {
  heartbeat: {
    subject: 'sanctum.heartbeat.{service}',
    summary: 'A service is alive, and in which state.',
    payload: heartbeatSchema,
    publishers: services,
    subscribers: ['sanctumctl', 'guardian'],
  },
  auditHead: {
    subject: 'sanctum.audit.head.{service}',
    summary: 'Where the audit chain of a service ends, for the others to write into theirs.',
    payload: auditHeadSchema,
    publishers: services,
    subscribers: [...services, 'sanctumctl'],
  },
  auditTrouble: {
    subject: 'sanctum.incident.audit-trouble',
    summary: 'A service cannot write its audit, or can again.',
    payload: auditTroubleSchema,
    publishers: services,
    subscribers: ['sanctumctl', 'guardian'],
    stream: 'INCIDENTS',
  },
  manifestAlert: {
    subject: 'sanctum.incident.manifest-alert',
    summary: 'A model is served although somebody should look at its manifest.',
    payload: manifestAlertSchema,
    publishers: ['engine'],
    subscribers: ['sanctumctl', 'guardian'],
    stream: 'INCIDENTS',
  },
  workerRestarted: {
    subject: 'sanctum.incident.worker-restarted',
    summary: 'The engine restarted its model worker.',
    payload: workerRestartedSchema,
    publishers: ['engine'],
    subscribers: ['sanctumctl', 'guardian'],
    stream: 'INCIDENTS',
  },
  failover: {
    subject: 'sanctum.incident.failover',
    summary: 'A request was answered by a fallback URL.',
    payload: failoverSchema,
    publishers: ['sanctum-server'],
    subscribers: ['sanctumctl', 'guardian'],
    stream: 'INCIDENTS',
  },
  breakerOpened: {
    subject: 'sanctum.incident.breaker-opened',
    summary: 'The router leaves a URL alone for a while, after faults in a row.',
    payload: breakerChangedSchema,
    publishers: ['sanctum-server'],
    subscribers: ['sanctumctl', 'guardian'],
    stream: 'INCIDENTS',
  },
  breakerClosed: {
    subject: 'sanctum.incident.breaker-closed',
    summary: 'The router uses a URL again that it had left alone.',
    payload: breakerChangedSchema,
    publishers: ['sanctum-server'],
    subscribers: ['sanctumctl', 'guardian'],
    stream: 'INCIDENTS',
  },
  budgetSpent: {
    subject: 'sanctum.incident.budget-spent',
    summary: 'A backend has spent its completion tokens of the day.',
    payload: budgetSpentSchema,
    publishers: ['sanctum-server'],
    subscribers: ['sanctumctl', 'guardian'],
    stream: 'INCIDENTS',
  },
  configRejected: {
    subject: 'sanctum.incident.config-rejected',
    summary: 'A service kept its configuration because the changed file is not valid.',
    payload: configRejectedSchema,
    publishers: ['sanctum-server'],
    subscribers: ['sanctumctl', 'guardian'],
    stream: 'INCIDENTS',
  },
} as const satisfies Record<string, SubjectDefinition>;
export type SubjectName = keyof typeof SUBJECTS;

/** Events, by subject: what JetStream keeps. */
export interface EventPayloads {
  'sanctum.incident.audit-trouble': AuditTrouble;
  'sanctum.incident.manifest-alert': ManifestAlert;
  'sanctum.incident.worker-restarted': WorkerRestarted;
  'sanctum.incident.failover': Failover;
  'sanctum.incident.breaker-opened': BreakerChanged;
  'sanctum.incident.breaker-closed': BreakerChanged;
  'sanctum.incident.budget-spent': BudgetSpent;
  'sanctum.incident.config-rejected': ConfigRejected;
}
export type EventSubject = keyof EventPayloads;

/** The services API of NATS (ADR-32): a question on the left is answered by each service. */
export const SERVICE_API_VERBS = ['PING', 'INFO', 'STATS'] as const;
export const SERVICE_API_SUBJECTS = '$SRV.>';

export function subjectDefinitions(): readonly SubjectDefinition[] {
  return Object.values<SubjectDefinition>(SUBJECTS);
}

export function heartbeatSubject(service: ServiceName): string {
  return SUBJECTS.heartbeat.subject.replace('{service}', service);
}

/** The subject on which a service tells others where its audit chain ends. */
export function auditHeadSubject(service: ServiceName): string {
  return SUBJECTS.auditHead.subject.replace('{service}', service);
}

/** The schema of an event's data; undefined for a subject no stream keeps. */
export function eventSchema(subject: string): z.ZodType | undefined {
  return subjectDefinitions().find(
    (entry) => entry.subject === subject && entry.stream !== undefined,
  )?.payload;
}

/** Replies to this identity, and to nobody else, arrive here. */
export function inboxPrefix(identity: Identity): string {
  return `_INBOX.${identity}`;
}

/**
 * Where services answer the operator's questions: a branch of its inbox, so that none of them can
 * answer in the place of JetStream. Who asks takes it for the prefix of its inboxes.
 */
export const SERVICE_ANSWERS_PREFIX = `${inboxPrefix('sanctumctl')}.services`;

/** Every service, whole subjects: `sanctum.heartbeat.*`. */
export function subscription(definition: SubjectDefinition): string {
  return definition.subject.replace('{service}', '*');
}
