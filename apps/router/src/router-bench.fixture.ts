import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals';
import { UpstreamProgram } from '@sanctum/testing';
import { startTestRouter, type TestRouter, type TestRouterOptions } from './router.fixture.js';

/** One upstream program for all tests of a block, and a router for each. */
export class RouterBench {
  #upstream: UpstreamProgram | undefined;
  #router: TestRouter | undefined;

  get upstream(): UpstreamProgram {
    if (this.#upstream === undefined) throw new Error('The upstream has not been started yet.');
    return this.#upstream;
  }

  get router(): TestRouter {
    if (this.#router === undefined) throw new Error('This test has not started a router yet.');
    return this.#router;
  }

  async open(): Promise<void> {
    this.#upstream = await UpstreamProgram.start();
  }

  /** The router of one test, stopped when the test is over. */
  async start(options: TestRouterOptions): Promise<TestRouter> {
    this.#router = await startTestRouter(options);
    return this.#router;
  }

  async stopRouter(): Promise<void> {
    await this.#router?.stop();
    this.#router = undefined;
  }

  async close(): Promise<void> {
    await this.#upstream?.kill();
  }
}

/** A bench that opens and closes with the block it is called in. */
export function useRouterBench(): RouterBench {
  const bench = new RouterBench();
  beforeAll(() => bench.open());
  beforeEach(() => {
    bench.upstream.requests.length = 0;
  });
  afterEach(() => bench.stopRouter());
  afterAll(() => bench.close());
  return bench;
}
