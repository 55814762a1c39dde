// Loaded into the router that soak.mjs starts, with --expose-gc: collects garbage when it is told to,
// and says what is left. What is not garbage then is what grows when something grows.
process.on('message', () => {
  globalThis.gc();
  setImmediate(() => {
    // The memory of collected buffers is freed, and no longer counted, when the next one begins.
    globalThis.gc();
    const { heapUsed, external } = process.memoryUsage();
    process.send({ liveMb: (heapUsed + external) / 1024 ** 2 });
  });
});
process.channel.unref();
