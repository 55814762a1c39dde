import { messageOf, SanctumError } from '@sanctum/errors';
import { toWireError, type LoadMessage, type MainMessage } from '../protocol.js';
import { EngineLoop } from './engine-loop.js';
import { loadEngine } from './load.js';
import { Outbox } from './outbox.js';

/** Exit codes that the main process tells apart in its log. */
const EXIT = { orphaned: 0, failed: 1, notForked: 2 } as const;

let loop: EngineLoop | undefined;

const outbox = new Outbox({
  send: (message, done) => {
    if (process.connected) process.send?.(message, undefined, undefined, done);
  },
  onRoom: () => loop?.wake(),
  onBroken: () => process.exit(EXIT.orphaned),
});

/** Tells the main process why, and exits once it is told; a main process that is gone ends it too. */
function die(error: unknown): void {
  outbox.post({ type: 'fatal', error: toWireError(error) }, () => process.exit(EXIT.failed));
}

function load(message: LoadMessage): void {
  if (loop !== undefined) throw new SanctumError('internal', 'A worker loads one model, once.');
  const loaded = loadEngine(message, (phase, elapsedMs) =>
    outbox.post({ type: 'progress', phase, elapsedMs }),
  );
  loop = new EngineLoop(loaded, outbox);
  outbox.post({ type: 'loaded', info: loop.info });
}

function receive(message: MainMessage): void {
  if (message.type === 'load') {
    load(message);
    return;
  }
  if (loop === undefined) throw new SanctumError('internal', `${message.type} came before load.`);
  switch (message.type) {
    case 'submit':
      loop.submit(message);
      break;
    case 'cancel':
      loop.cancel(message.id);
      break;
    case 'probe':
      loop.probe(message.id);
      break;
    case 'drain':
      loop.drain();
      break;
  }
}

if (process.send === undefined) {
  process.stderr.write('The engine worker is started by the engine, not by hand.\n');
  process.exit(EXIT.notForked);
}
process.on('message', (message: MainMessage) => {
  try {
    receive(message);
  } catch (error) {
    die(error);
  }
});
// A worker never outlives its main process, however that ended.
process.on('disconnect', () => process.exit(EXIT.orphaned));
// Ctrl-C and a stop of the whole group reach the worker too; the main process drains it instead.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.on('uncaughtException', die);
process.on('unhandledRejection', (reason) =>
  die(new SanctumError('internal', `A promise failed: ${messageOf(reason)}`)),
);
