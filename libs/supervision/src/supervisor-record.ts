import { readFileSync } from 'node:fs';
import { errnoOf, writeFileAtomic } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { z } from 'zod';

const processId = z.strictObject({ pid: z.int().positive(), started: z.string().min(1) });

const recordSchema = z.strictObject({
  version: z.literal(1),
  supervisor: processId,
  socket: z.string(),
  /** In start order. */
  services: z.array(processId.extend({ name: z.string().min(1) })),
});

/** Who supervises a home, and every process started for it that may still live. */
export type SupervisorRecord = z.output<typeof recordSchema>;

/** `state/supervisor.json`, or undefined when nothing was left behind. */
export function readRecord(file: string): SupervisorRecord | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') {
      return undefined;
    }
    throw new SanctumError('io', `${file} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new SanctumError(
      'io',
      `${file} is not a supervisor's record. Look for processes of this home with ps, end them, ` +
        'then remove the file.',
      { cause: error, param: file },
    );
  }
}

export function writeRecord(file: string, record: SupervisorRecord): void {
  writeFileAtomic(file, `${JSON.stringify(record, null, 2)}\n`);
}
