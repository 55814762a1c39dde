/**
 * How one URL of a backend stands: `usable`; `cooling` after a 429; `last_resort`, its breaker open
 * because it took no connections or answered with garbage; `open` for any other reason.
 */
export type UrlStanding = 'usable' | 'cooling' | 'last_resort' | 'open';

/**
 * The URLs worth trying, in order. Usable ones come first, then those that cool down: waiting is
 * better than failing, but anybody else is better than waiting. Only when neither is left is a last
 * resort tried: asking where connections are refused costs nothing and finds a restarted target at
 * once, and an answer that may be garbage is more than none. Open ones are never among them; an
 * empty result means that every URL is open.
 */
export function orderUrls(standings: readonly UrlStanding[]): readonly number[] {
  if (standings.every((standing) => standing === 'usable')) return inOrder(standings.length);
  const usable = indexesOf(standings, 'usable');
  const cooling = indexesOf(standings, 'cooling');
  const reachable = [...usable, ...cooling];
  return reachable.length > 0 ? reachable : indexesOf(standings, 'last_resort');
}

function indexesOf(standings: readonly UrlStanding[], wanted: UrlStanding): number[] {
  return standings.flatMap((standing, index) => (standing === wanted ? [index] : []));
}

/** One array per length, shared: nearly every request has this order. */
const ORDERS: (readonly number[])[] = [];

function inOrder(length: number): readonly number[] {
  return (ORDERS[length] ??= Object.freeze(Array.from({ length }, (_, index) => index)));
}
