import type { BackendSection, RouterSection } from '@sanctum/catalog';
import {
  DEFAULT_BREAKER,
  DEFAULT_COOL_DOWN,
  DEFAULT_DETECTORS,
  DEFAULT_SLOW_TRIP_COUNT,
  type BreakerSettings,
  type CoolDownSettings,
  type DetectorSettings,
  type SlownessSettings,
} from '@sanctum/routing';

/** Every threshold by which one backend is judged. */
export interface Resilience {
  readonly breaker: BreakerSettings;
  readonly coolDown: CoolDownSettings;
  readonly slowness: SlownessSettings;
  readonly detectors: DetectorSettings;
  /** Completion tokens a day; undefined is no limit. */
  readonly dailyCapTokens: number | undefined;
}

/** What instance.yaml says of a backend, then of all, then the defaults. */
export function resilienceOf(router: RouterSection, backend: BackendSection): Resilience {
  return {
    breaker: breakerOf({ ...router.breaker, ...backend.breaker }),
    coolDown: coolDownOf(router),
    slowness: {
      thresholdS: backend.slow_threshold_s,
      tripCount: backend.slow_trip_count ?? DEFAULT_SLOW_TRIP_COUNT,
    },
    detectors: {
      repetitionCharsMin:
        router.detectors?.repetition_chars ?? DEFAULT_DETECTORS.repetitionCharsMin,
      tinyBytes: router.detectors?.tiny_bytes ?? DEFAULT_DETECTORS.tinyBytes,
      expectsThinking: backend.strip_thinking === true,
    },
    dailyCapTokens: backend.daily_cap_completion_tokens,
  };
}

function breakerOf({
  faults,
  open_s: openS,
}: NonNullable<RouterSection['breaker']>): BreakerSettings {
  return {
    faultsMax: faults ?? DEFAULT_BREAKER.faultsMax,
    openMs: milliseconds(openS) ?? DEFAULT_BREAKER.openMs,
  };
}

function coolDownOf({ cool_down: coolDown }: RouterSection): CoolDownSettings {
  return {
    defaultMs: milliseconds(coolDown?.default_s) ?? DEFAULT_COOL_DOWN.defaultMs,
    maxMs: milliseconds(coolDown?.max_s) ?? DEFAULT_COOL_DOWN.maxMs,
  };
}

function milliseconds(valueS: number | undefined): number | undefined {
  return valueS === undefined ? undefined : Math.round(valueS * 1_000);
}
