import type { CountedTransport, TransportRecord } from './transport-counts.js';

export interface MigrationRow {
  readonly service: string;
  readonly identity: string;
  readonly transport: CountedTransport;
  readonly count: number;
  /** The last day with a hit, as YYYY-MM-DD. */
  readonly last: string;
}

export interface MigrationReport {
  /** Over the last seven days, the busiest first. */
  readonly rows: readonly MigrationRow[];
  readonly bearer: BearerVerdict;
}

/** May the bearer token go? Only what was watched for seven days can be said to be unused. */
export type BearerVerdict =
  | { readonly retire: true }
  | { readonly retire: false; readonly reason: string; readonly notBefore: string };

const DAY_MS = 86_400_000;
export const WATCHED_DAYS = 7;

/** Who came in how over seven days, and whether the bearer token may be retired. Pure. */
export function migrationReport(
  records: Readonly<Record<string, TransportRecord>>,
  now: Date,
): MigrationReport {
  // The day that is seven days ago counts in full: rather a day too many than one hit too few.
  const first = dayOf(new Date(now.getTime() - WATCHED_DAYS * DAY_MS));
  const rows = Object.entries(records).flatMap(([service, { days }]) =>
    rowsOf(service, days, first),
  );
  return {
    rows: rows.sort((a, b) => b.count - a.count),
    bearer: bearerVerdict(records, rows, now),
  };
}

function rowsOf(service: string, days: TransportRecord['days'], first: string): MigrationRow[] {
  const rows = new Map<string, MigrationRow>();
  for (const day of Object.keys(days).sort()) {
    if (day < first) continue;
    for (const { identity, transport, count } of days[day] ?? []) {
      const key = `${transport} ${identity}`;
      const before = rows.get(key)?.count ?? 0;
      rows.set(key, { service, identity, transport, count: before + count, last: day });
    }
  }
  return [...rows.values()];
}

function bearerVerdict(
  records: Readonly<Record<string, TransportRecord>>,
  rows: readonly MigrationRow[],
  now: Date,
): BearerVerdict {
  const hits = rows.filter(({ transport }) => transport === 'bearer' || transport === 'open');
  const last = hits
    .map((row) => row.last)
    .sort()
    .at(-1);
  const begun = Object.values(records)
    .map(({ since }) => since)
    .sort()
    .at(-1);
  if (begun === undefined) {
    const notBefore = dayOf(new Date(now.getTime() + WATCHED_DAYS * DAY_MS));
    return { retire: false, reason: 'no service has counted yet', notBefore };
  }
  if (last !== undefined) {
    const services = [...new Set(hits.map(({ service }) => service))].join(', ');
    const notBefore = dayOf(new Date(Date.parse(last) + (WATCHED_DAYS + 1) * DAY_MS));
    return { retire: false, reason: `last used on ${last} (${services})`, notBefore };
  }
  const ready = new Date(Date.parse(begun) + WATCHED_DAYS * DAY_MS);
  if (now >= ready) return { retire: true };
  return {
    retire: false,
    reason: `counted only since ${begun.slice(0, 10)}`,
    notBefore: dayOf(ready),
  };
}

function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10);
}
