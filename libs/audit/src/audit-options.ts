export type AuditData = Readonly<Record<string, unknown>>;

/** What an operator should hear of; nothing of it stops who writes notes. */
export type AuditTrouble =
  | { readonly kind: 'stalled'; readonly reason: string }
  | { readonly kind: 'dropped'; readonly lines: number }
  | { readonly kind: 'recovered'; readonly stalledMs: number; readonly droppedLines: number };

export interface AuditOptions {
  /** The chain's own folder, `audit/<service>`; made when missing. */
  readonly dir: string;
  readonly onTrouble?: (trouble: AuditTrouble) => void;
  /** From a note to the write that carries it; decisions do not wait. */
  readonly groupMs?: number;
  readonly segmentBytesMax?: number;
  /** Of all segments together; the oldest are removed, and the chain says so. */
  readonly retainedBytesMax?: number;
  /** Of notes that wait for the disk; further ones are dropped and counted. */
  readonly pendingBytesMax?: number;
  readonly decisionTimeoutMs?: number;
  readonly retryMs?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export const AUDIT_DEFAULTS = {
  groupMs: 100,
  segmentBytesMax: 32 * 1024 * 1024,
  retainedBytesMax: 2 * 1024 * 1024 * 1024,
  pendingBytesMax: 8 * 1024 * 1024,
  decisionTimeoutMs: 10_000,
  retryMs: 1_000,
  now: () => Date.now(),
} as const satisfies Omit<Required<AuditOptions>, 'dir' | 'onTrouble'>;

/** Room for decisions beyond that for notes: a flood of notes does not keep a decision out. */
export const DECISION_RESERVE_BYTES = 1024 * 1024;

/** Of notes that wait to be chained. */
export const NOTES_MAX = 64;

export type AuditSettings = Required<Omit<AuditOptions, 'onTrouble'>> &
  Pick<AuditOptions, 'onTrouble'>;
