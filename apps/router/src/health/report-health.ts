import type { BreakerChanged, BudgetSpent } from '@sanctum/contracts';
import type { RouterLog } from '../log.js';
import type { HealthEvent } from './health-registry.js';

/** The part of the bus that incidents of backends go to. */
export interface HealthBus {
  publishEvent(
    subject: 'sanctum.incident.breaker-opened' | 'sanctum.incident.breaker-closed',
    data: BreakerChanged,
  ): void;
  publishEvent(subject: 'sanctum.incident.budget-spent', data: BudgetSpent): void;
}

/** A client may have made the name up. */
const MODEL_CHARS_MAX = 128;

/** Says what happened to a backend in the log at once, and on the bus off the request's path. */
export function reportHealth(event: HealthEvent, log: RouterLog, bus: HealthBus | undefined): void {
  switch (event.kind) {
    case 'breaker_opened':
    case 'breaker_closed': {
      const { name, errorClass } = event;
      const model = event.model.slice(0, MODEL_CHARS_MAX);
      const fields = { ...name, model, ...(errorClass === undefined ? {} : { errorClass }) };
      log.warn(
        { ...name, model, ...(errorClass === undefined ? {} : { error_class: errorClass }) },
        event.kind,
      );
      const subject =
        event.kind === 'breaker_opened'
          ? 'sanctum.incident.breaker-opened'
          : 'sanctum.incident.breaker-closed';
      setImmediate(() => publish(() => bus?.publishEvent(subject, fields), log));
      return;
    }
    case 'budget_spent': {
      const { backend, cap, used } = event;
      const resetsAt = new Date(event.resetsAtMs).toISOString();
      log.warn({ backend, cap, used, resets_at: resetsAt }, event.kind);
      const data = { backend, cap, used, resetsAt };
      setImmediate(() =>
        publish(() => bus?.publishEvent('sanctum.incident.budget-spent', data), log),
      );
      return;
    }
  }
}

/** Nobody waits for it, so nobody else would catch what it throws. */
function publish(send: () => void, log: RouterLog): void {
  try {
    send();
  } catch (error) {
    log.error({ err: error }, 'incident not reported');
  }
}
