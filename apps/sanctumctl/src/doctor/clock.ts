import { existsSync, statSync } from 'node:fs';
import { bundleOf, type Site } from '../instance/site.js';
import { fail, ok, type Finding } from './check.js';

/** File systems and a clock being corrected may differ by this much. */
const TOLERANCE_MS = 60_000;

/**
 * A clock that lags makes certificates not yet valid and budgets start over. Files cannot be newer
 * than now: the youngest of what this instance wrote says how far behind the clock is at least.
 */
export function checkClock(site: Site, nowMs: number = Date.now()): Finding {
  const { paths } = site;
  const written = [
    bundleOf(site, 'sanctumctl'),
    paths.instanceFile,
    paths.ca.cert,
    paths.server.cert,
    paths.state,
    paths.logs,
  ].filter((path) => existsSync(path));
  const [youngest] = written
    .map((path) => ({ path, ms: statSync(path).mtimeMs }))
    .sort((one, other) => other.ms - one.ms);
  if (youngest === undefined || youngest.ms - nowMs <= TOLERANCE_MS) {
    return ok('clock', new Date(nowMs).toISOString());
  }
  const behindMinutes = Math.ceil((youngest.ms - nowMs) / 60_000);
  return fail(
    'clock',
    `at least ${behindMinutes} minutes behind: ${youngest.path} was written later than now`,
    'Set the clock and let it be kept by NTP; certificates are refused before they are valid.',
  );
}
