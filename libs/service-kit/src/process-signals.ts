import type { Logger } from 'pino';

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/**
 * Ends the process in the two ways it may end. A signal stops the service and exits 0 (Nest's own
 * shutdown hooks would raise the signal again: 143, which a supervisor reads as a crash); a second
 * signal does not wait. A defect is logged and exits 1. Returns the function that takes it back.
 */
export function handleProcessEnd(stop: () => Promise<void>, logger: Logger): () => void {
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping) {
      logger.warn({ signal }, 'stopped without waiting');
      process.exit(1);
    }
    stopping = true;
    logger.info({ signal }, 'stopping');
    stop().then(
      () => {
        logger.info('stopped');
        process.exit(0);
      },
      (error: unknown) => crash(error, 'stop_failed'),
    );
  };
  const crash = (error: unknown, event: string): void => {
    logger.fatal({ err: error }, event);
    process.exit(1);
  };
  const onException = (error: unknown): void => crash(error, 'uncaught_exception');
  const onRejection = (error: unknown): void => crash(error, 'unhandled_rejection');
  for (const signal of SIGNALS) process.on(signal, onSignal);
  process.on('uncaughtException', onException);
  process.on('unhandledRejection', onRejection);
  return () => {
    for (const signal of SIGNALS) process.off(signal, onSignal);
    process.off('uncaughtException', onException);
    process.off('unhandledRejection', onRejection);
  };
}
