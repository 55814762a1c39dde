import { Module } from '@nestjs/common';
import { bootstrapService } from './bootstrap.js';

@Module({})
class EmptyModule {}

/** A service for process specs: an answer held until SIGUSR2, a drain that says so, a defect. */
const service = await bootstrapService({
  name: 'engine',
  version: '0.1.0',
  module: EmptyModule,
  listeners: [{ name: 'plain', host: '127.0.0.1', port: 0 }],
  // By default longer than a test may take: what waits for it fails.
  drainDeadlineMs: Number(process.argv[2] ?? 600_000),
  configure: ({ fastify, logger }) => {
    fastify.get('/held', (_request, reply) => {
      process.once('SIGUSR2', () => void reply.send('done'));
      logger.info('held');
    });
    fastify.get('/defect', () => {
      setImmediate(() => {
        throw new Error('a broken invariant');
      });
      return 'soon';
    });
  },
  drain: () => {
    service.logger.info('drained');
    return Promise.resolve();
  },
});
