import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { judgeCandidate, type Candidate, type ServedRecord } from './trust-policy.js';
import type { SignedException } from './rollback-exception.js';

const NOW = new Date('2027-01-15T00:00:00Z');
const KEY_A = 'a'.repeat(16);
const KEY_B = 'b'.repeat(16);

function candidate(change: Partial<Candidate> = {}): Candidate {
  const header = { model: 'tiny', version: 3 };
  return { model: 'tiny', header, digest: 'd3', keyId: KEY_A, source: 'tiny.manifest', ...change };
}

function versioned(version: number | undefined, change: Partial<Candidate> = {}): Candidate {
  const header = { model: 'tiny', ...(version !== undefined && { version }) };
  return candidate({ header, digest: `d${version ?? 0}`, ...change });
}

const exceptionFor = (subject: Candidate, change: Partial<SignedException> = {}) => ({
  kind: 'rollback' as const,
  model: subject.model,
  version: subject.header.version ?? 0,
  digest: subject.digest,
  reason: 'version 4 answers in French',
  issuedAt: '2027-01-10T00:00:00Z',
  expiresAt: '2027-01-20T00:00:00Z',
  source: 'tiny.manifest.rollback',
  keyId: KEY_A,
  ...change,
});

interface Past {
  readonly served?: ServedRecord;
  readonly trustedKeyIds?: readonly string[];
  readonly exception?: SignedException;
}

function judge(subject: Candidate, past: Past = {}): string[] {
  const { served, trustedKeyIds = [KEY_A, KEY_B], exception } = past;
  const policy = { served, trustedKeyIds, exception: () => exception, now: NOW };
  return judgeCandidate(subject, policy).map(({ kind }) => kind);
}

describe('judgeCandidate', () => {
  it('lets a first version pass in silence, and the next ones', () => {
    expect(judge(versioned(3))).toEqual([]);
    expect(judge(versioned(undefined))).toEqual([]);
    const served = { versions: { [KEY_A]: 3 }, digests: ['d3'] };
    expect(judge(versioned(3), { served })).toEqual([]);
    expect(judge(versioned(4), { served })).toEqual([]);
  });

  it('refuses a lower version, whichever trusted key signed it', () => {
    const served = { versions: { [KEY_A]: 3, [KEY_B]: 5 }, digests: ['d3', 'd5'] };
    expect(() => judge(versioned(4, { keyId: KEY_A }), { served })).toThrow(
      /is version 4 of tiny; this machine has served version 5.*model rollback/,
    );
    expect(() => judge(versioned(undefined), { served })).toThrow(/is version 0 of tiny/);
  });

  it('recovers from a key that counted up to the end: revoked, it binds nobody', () => {
    const served = { versions: { [KEY_A]: 999_999_999, [KEY_B]: 5 }, digests: ['d5'] };
    const next = versioned(6, { keyId: KEY_B });
    expect(() => judge(next, { served })).toThrow(/version 999999999/);
    expect(judge(next, { served, trustedKeyIds: [KEY_B] })).toEqual([]);
    expect(() => judge(versioned(4), { served, trustedKeyIds: [KEY_B] })).toThrow(/version 5/);
  });

  it('refuses what expired before it was ever served, and lets go on what was', () => {
    const expires = new Date(NOW.getTime());
    const expired = candidate({ header: { model: 'tiny', version: 3, expires } });
    expect(() => judge(expired)).toThrow(/expired on 2027-01-15.*has not served it before/);
    const other = { versions: { [KEY_A]: 3 }, digests: ['another'] };
    expect(() => judge(expired, { served: other })).toThrow(/expired/);
    const served = { versions: { [KEY_A]: 3 }, digests: ['d1', 'd3'] };
    expect(judge(expired, { served })).toEqual(['expired']);
    const fresh = { model: 'tiny', version: 3, expires: new Date(NOW.getTime() + 1) };
    expect(judge(candidate({ header: fresh }))).toEqual([]);
  });

  it('alerts when a version comes with other content than it was served with', () => {
    const served = { versions: { [KEY_A]: 3 }, digests: ['d3'] };
    expect(judge(versioned(3, { digest: 'x' }), { served })).toEqual(['version_reused']);
  });

  it('lets an older version pass under an exception made for it, and says so', () => {
    const served = { versions: { [KEY_A]: 5 }, digests: ['d3', 'd5'] };
    const older = versioned(3);
    expect(judge(older, { served, exception: exceptionFor(older) })).toEqual(['rollback_excepted']);
  });

  it.each([
    ['another manifest', { digest: 'x' }, /\.rollback speaks of another manifest/],
    ['another model', { model: 'huge' }, /speaks of model huge/],
    ['another version', { version: 2 }, /speaks of version 2/],
    ['its end', { expiresAt: NOW.toISOString() }, /\.rollback expired on 2027-01-15/],
  ])('refuses an exception for %s', (_what, change, message) => {
    const served = { versions: { [KEY_A]: 5 }, digests: [] };
    const older = versioned(3);
    expect(() => judge(older, { served, exception: exceptionFor(older, change) })).toThrow(message);
  });

  it('never lets the served version fall while a key stays trusted', () => {
    const loads = fc.array(
      fc.record({ version: fc.nat(9), keyId: fc.constantFrom(KEY_A, KEY_B) }),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(loads, (sequence) => {
        let served: ServedRecord = { versions: {}, digests: [] };
        let highest = 0;
        for (const { version, keyId } of sequence) {
          const subject = versioned(version, { keyId, digest: `d${version}` });
          const passes = accepted(() => judge(subject, { served }));
          expect(passes).toBe(version >= highest);
          if (!passes) continue;
          highest = Math.max(highest, version);
          const versions = { ...served.versions, [keyId]: version };
          served = { versions, digests: [...served.digests, subject.digest] };
        }
      }),
    );
  });
});

function accepted(judgement: () => unknown): boolean {
  try {
    judgement();
    return true;
  } catch {
    return false;
  }
}
