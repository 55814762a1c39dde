import { auditHeadSchema, SUBJECTS, type AuditHead } from '@sanctum/contracts';

/**
 * The audit head that a message carries; undefined for one that the schema or its subject belies.
 * NATS lets each service publish under its own name only.
 */
export function heardHead(subject: string, text: string): AuditHead | undefined {
  const { data } = auditHeadSchema.safeParse(parseJson(text));
  if (data === undefined) return undefined;
  const own = SUBJECTS.auditHead.subject.replace('{service}', data.service);
  return subject === own ? data : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
