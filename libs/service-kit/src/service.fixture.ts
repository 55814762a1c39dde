import { Module } from '@nestjs/common';
import { bootstrapService } from './bootstrap.js';

@Module({})
class EmptyModule {}

/** A service for process specs: a slow route, a drain that says so, and a defect on demand. */
const service = await bootstrapService({
  name: 'engine',
  version: '0.1.0',
  module: EmptyModule,
  listeners: [{ name: 'plain', host: '127.0.0.1', port: 0 }],
  drainDeadlineMs: Number(process.argv[2] ?? 5000),
  configure: ({ fastify, logger }) => {
    fastify.get('/slow', (_request, reply) => {
      logger.info('slow_began');
      const timer = setTimeout(() => void reply.send('done'), Number(process.argv[3] ?? 300));
      reply.raw.on('close', () => clearTimeout(timer));
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
