import { messageOf } from '@sanctum/errors';
import { AuditLog } from './audit-log.js';

/** A program that writes one chain as its parent tells it; `run` goes on until it is killed. */
const [dir = ''] = process.argv.slice(2);
const tell = (message: object): void => void process.send?.(message);
const log = await AuditLog.open({
  dir,
  groupMs: 1,
  retryMs: 5,
  segmentBytesMax: 20_000,
  onTrouble: (trouble) => tell({ trouble: trouble.kind }),
});

async function run(): Promise<void> {
  for (let index = 0; ; index += 1) {
    log.note('request', { index, padding: 'x'.repeat(index % 300) });
    const { seq, hash } = await log.decide('model_served', { index });
    tell({ seq, hash });
  }
}

process.on('message', (command: 'run' | 'decide' | 'note') => {
  if (command === 'run') void run();
  else if (command === 'note') log.note('request', {});
  else {
    log.decide('model_served', {}).then(
      ({ seq, hash }) => tell({ seq, hash }),
      (error: unknown) => tell({ refused: messageOf(error) }),
    );
  }
});
tell({ open: true });
