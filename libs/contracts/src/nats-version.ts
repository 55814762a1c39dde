import { SanctumError } from '@sanctum/errors';

export interface NatsVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

export interface NatsCapabilities {
  /** `sync_interval: always`: an acknowledged message is on disk. A server before 2.10 refuses it. */
  readonly syncInterval: boolean;
  /** Older than the fixes of CVE-2026-33248 and CVE-2026-33222: loopback and development only. */
  readonly vulnerable: boolean;
}

/** Of `nats-server: v2.12.15`, `v2.9.10` or `2.9.10`. */
export function parseNatsVersion(text: string): NatsVersion {
  const match = /v?(\d+)\.(\d+)\.(\d+)/.exec(text);
  if (match === null) {
    throw new SanctumError(
      'prerequisite_missing',
      `nats-server: expected a version such as v2.12.6, found ${JSON.stringify(text.slice(0, 80))}`,
    );
  }
  const [, major, minor, patch] = match.map(Number);
  return { major: major ?? 0, minor: minor ?? 0, patch: patch ?? 0 };
}

/** What a server of this version understands, and whether it may run in production. */
export function natsCapabilities(version: NatsVersion): NatsCapabilities {
  const fixed =
    atLeast(version, { major: 2, minor: 12, patch: 6 }) ||
    (version.major === 2 && version.minor === 11 && version.patch >= 15);
  return { syncInterval: atLeast(version, { major: 2, minor: 10, patch: 0 }), vulnerable: !fixed };
}

function atLeast(version: NatsVersion, floor: NatsVersion): boolean {
  if (version.major !== floor.major) return version.major > floor.major;
  if (version.minor !== floor.minor) return version.minor > floor.minor;
  return version.patch >= floor.patch;
}
