import { SanctumError } from '@sanctum/errors';
import type { ManifestHeader } from './manifest-text.js';
import type { SignedException } from './rollback-exception.js';

/** What this machine has served of one model. */
export interface ServedRecord {
  /** Highest version served, by the key that signed it. */
  readonly versions: Readonly<Record<string, number>>;
  /** Manifest digests served, the most recent last. */
  readonly digests: readonly string[];
}

/** A manifest whose signature holds, on its way to be served. */
export interface Candidate {
  readonly model: string;
  readonly header: ManifestHeader;
  readonly digest: string;
  readonly keyId: string;
  /** Path of the manifest, for messages. */
  readonly source: string;
}

export type TrustAlertKind = 'expired' | 'rollback_excepted' | 'version_reused';

/** It is served, and somebody should know. */
export interface TrustAlert {
  readonly kind: TrustAlertKind;
  readonly message: string;
}

export interface TrustPolicy {
  readonly served: ServedRecord | undefined;
  /** Keys that may sign today: what a key no longer trusted had served binds nobody. */
  readonly trustedKeyIds: readonly string[];
  /** Asked for when one is needed. */
  readonly exception: () => SignedException | undefined;
  readonly now: Date;
}

/**
 * Whether a manifest may be served on this machine, by what was served before. An expired one is
 * refused unless its very digest was served before; a lower version than the highest served under
 * a key that is still trusted is refused unless a signed exception names its digest; a manifest
 * without a version counts as version 0. Throws `manifest_refused`; returns what to alert about.
 */
export function judgeCandidate(candidate: Candidate, policy: TrustPolicy): TrustAlert[] {
  return [
    ...judgeExpiry(candidate, policy),
    ...judgeVersion(candidate, policy),
    ...judgeReuse(candidate, policy),
  ];
}

/** The highest version served under keys that are trusted today, or undefined when none was. */
export function servedFloor({
  served,
  trustedKeyIds,
}: Pick<TrustPolicy, 'served' | 'trustedKeyIds'>): number | undefined {
  const versions = Object.entries(served?.versions ?? {})
    .filter(([keyId]) => trustedKeyIds.includes(keyId))
    .map(([, version]) => version);
  return versions.length === 0 ? undefined : Math.max(...versions);
}

function judgeExpiry({ header, digest, source }: Candidate, policy: TrustPolicy): TrustAlert[] {
  const { expires } = header;
  if (expires === undefined || policy.now < expires) return [];
  const since = expires.toISOString();
  if (policy.served?.digests.includes(digest) !== true) {
    throw refused(source, `expired on ${since}, and this machine has not served it before`);
  }
  const message = `${source} expired on ${since}; it was served here before and goes on. Renew it.`;
  return [{ kind: 'expired', message }];
}

function judgeVersion(candidate: Candidate, policy: TrustPolicy): TrustAlert[] {
  const { header, source, model } = candidate;
  const floor = servedFloor(policy);
  const version = header.version ?? 0;
  if (floor === undefined || version >= floor) return [];
  const what = `is version ${version} of ${model}; this machine has served version ${floor}`;
  const exception = policy.exception();
  if (exception === undefined) {
    throw refused(
      source,
      `${what}. Restore the newer one, or sign an exception with "sanctumctl model rollback"`,
    );
  }
  const fault = exceptionFault(exception, candidate, policy.now);
  if (fault !== undefined) throw refused(source, `${what}, and ${exception.source} ${fault}`);
  const until = exception.expiresAt;
  const message = `${source} ${what}. Key ${exception.keyId} allows it until ${until}: ${exception.reason}`;
  return [{ kind: 'rollback_excepted', message }];
}

function exceptionFault(
  exception: SignedException,
  candidate: Candidate,
  now: Date,
): string | undefined {
  if (exception.digest !== candidate.digest) return 'speaks of another manifest';
  if (exception.model !== candidate.model) return `speaks of model ${exception.model}`;
  if (exception.version !== (candidate.header.version ?? 0)) {
    return `speaks of version ${exception.version}`;
  }
  if (now >= new Date(exception.expiresAt)) return `expired on ${exception.expiresAt}`;
  return undefined;
}

/** Two different manifests under one version: nobody who counts up makes that. */
function judgeReuse({ header, digest, keyId, source }: Candidate, policy: TrustPolicy) {
  const { served } = policy;
  if (header.version === undefined || served === undefined) return [];
  if (served.versions[keyId] !== header.version || served.digests.includes(digest)) return [];
  const message = `${source} reuses version ${header.version}, which was served here with other content.`;
  return [{ kind: 'version_reused' as const, message }];
}

function refused(source: string, what: string): SanctumError {
  return new SanctumError('manifest_refused', `${source} ${what}.`, { param: source });
}
