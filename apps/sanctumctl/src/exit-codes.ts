/** What a script may rely on. */
export const EXIT = {
  ok: 0,
  /** The command failed, or found something wrong. */
  failed: 1,
  /** The command line was not understood. */
  usage: 2,
  /** doctor itself could not do its work. */
  doctorBroken: 3,
} as const;
