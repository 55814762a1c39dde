// Does the router grow? Streams opened and closed, then mixed load, with memory and sockets watched.
// usage: soak.mjs [--minutes 60] [--streams 10000] [--connections 32] [--sample-s 2] [--home DIR] [--receipts DIR]
// With --home it loads the running instance there, its engine watched as well. Ends with 1 when memory
// grows by more than 1 MB an hour after the first ten minutes, a socket stays, or an answer is wrong.
// Under load memory swings by tens of MB with what is not collected yet; so once a minute the load
// rests, the router that was started here collects, and is judged by what is left then.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { clearInterval, setInterval } from 'node:timers';
import { fileURLToPath } from 'node:url';
import { machine, option, portOf } from './rounds.mjs';
import { Load, MIXED, REAL, STREAMS } from './soak-load.mjs';
import { floors, Watch } from './soak-watch.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '../../..');
const minutes = Number(option('minutes', 60));
const streams = Number(option('streams', 10_000));
const connections = Number(option('connections', 32));
const sampleMs = Number(option('sample-s', 2)) * 1_000;
const home = option('home', undefined);
const receipts = option('receipts', path.join(home ?? path.join(root, '.sanctum'), 'state/drills'));
const SETTLE_MINUTES = Math.min(10, minutes / 3);
/** A shorter time says nothing about a slope per hour. */
const JUDGED_MINUTES_MIN = 20;
const SLOPE_MAX_MB_H = 1;

const folder = mkdtempSync(path.join(os.tmpdir(), 'sanctum-soak-'));
const children = [];
const startedAt = new Date().toISOString();

try {
  const { port, watched, model } = home === undefined ? await startOwn() : running(home);
  console.log(machine());
  const load = new Load({ port, connections, model });
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => load.stop());
  for (const child of children) child.once('exit', () => load.stop());

  await load.run(STREAMS, () => load.done >= streams);
  const streamed = load.done;
  const afterStreams = watched.map(({ megabytes }) => megabytes);
  console.log(`${streamed} streams opened and closed: ${told(watched, afterStreams)}`);

  const begunMs = performance.now();
  for (const watch of watched) watch.start(sampleMs);
  const collect = () => Promise.all(watched.map((watch) => watch.collect()));
  const minutely = setInterval(() => void load.atRest(collect), 60_000);
  await load.run(model === undefined ? MIXED : REAL, () => minutesSince(begunMs) > minutes);
  clearInterval(minutely);
  for (const watch of watched) watch.stop();
  const ranMinutes = minutesSince(begunMs);

  load.agent.destroy();
  const services = await Promise.all(
    watched.map(async (watch, at) => ({
      name: watch.name,
      pids: watch.pids,
      afterStreamsMb: Math.round(afterStreams[at] * 10) / 10,
      ...watch.judge(SETTLE_MINUTES),
      left: await watch.leaked(),
      floors: floors(watch.samples),
      collected: watch.collected,
    })),
  );
  const isJudged = ranMinutes - SETTLE_MINUTES >= JUDGED_MINUTES_MIN;
  const receipt = {
    ...{ version: 1, drill: 'soak', startedAt, endedAt: new Date().toISOString() },
    ...{ machine: machine(), connections, streams: streamed, minutes: ranMinutes },
    ...{ settleMinutes: SETTLE_MINUTES, slopeMaxMbH: SLOPE_MAX_MB_H, isSlopeJudged: isJudged },
    ...{ requests: load.done, wrong: load.wrong, wrongReasons: [...load.reasons] },
    ...{ kinds: load.counts, services },
  };
  const reasons = reasonsOf(receipt, ranMinutes < minutes);
  const outcome = reasons.length === 0 ? 'passed' : 'failed';
  console.log(write({ ...receipt, outcome, reasons }));
  process.exitCode = outcome === 'passed' ? 0 : 1;
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}

function reasonsOf({ isSlopeJudged, wrong, services }, isCut) {
  return [
    ...(isCut ? ['it was ended before its time'] : []),
    ...(wrong > 0 ? [`${wrong} wrong answers`] : []),
    ...services.flatMap(({ name, left, ...slopes }) => [
      ...(isSlopeJudged && grows(slopes) ? [`${name} grows`] : []),
      ...(left.sockets > 0 ? [`${name} holds ${left.sockets} sockets`] : []),
    ]),
  ];
}

/**
 * What lives may grow by no more; the size of the process, which depends on what the system took
 * back so far, by no more beyond twice its error.
 */
function grows({ slope, collectedSlope = slope, liveSlope }) {
  if (liveSlope !== undefined && liveSlope.mbH > SLOPE_MAX_MB_H) return true;
  return collectedSlope.mbH - 2 * collectedSlope.errorMbH > SLOPE_MAX_MB_H;
}

/** Writes the receipt for programs and the one for people; returns the latter. */
function write(receipt) {
  mkdirSync(receipts, { recursive: true, mode: 0o700 });
  const name = path.join(receipts, `soak-${startedAt.replaceAll(/[:.]/g, '-')}`);
  writeFileSync(`${name}.json`, `${JSON.stringify(receipt, null, 2)}\n`);
  const text = render(receipt);
  writeFileSync(`${name}.md`, text);
  return `${text}\n${name}.md`;
}

function render(receipt) {
  const told = (slope) => (slope === undefined ? '–' : `${slope.mbH} ± ${slope.errorMbH}`);
  const rows = receipt.services.map((one) =>
    [
      ...[one.name, one.afterStreamsMb, one.firstMb, one.lastMb, one.peakMb],
      ...[one.slope, one.floorSlope, one.collectedSlope, one.liveSlope].map(told),
      ...[one.left.sockets, one.left.handles],
    ].join(' | '),
  );
  const kinds = Object.entries(receipt.kinds).map(
    ([kind, { right, wrong }]) => `| ${kind} | ${right} | ${wrong} |`,
  );
  return `# Soak: ${receipt.outcome}${receipt.reasons.map((reason) => `; ${reason}`).join('')}

${receipt.machine}; ${receipt.startedAt} to ${receipt.endedAt}; ${receipt.streams} streams, then ${receipt.minutes.toFixed(1)} minutes of mixed load over ${receipt.connections} connections. Memory is PSS. Slopes in MB an hour count from minute ${receipt.settleMinutes.toFixed(1)} on, with standard errors as if samples were independent${receipt.isSlopeJudged ? '' : '; too short to judge'}: of all samples, of the least of each minute, of the samples after a collection, and of what lives (heap and external) after it.

| service | after streams MB | first MB | last MB | peak MB | all | floors | collected | live | sockets left | handles left |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
${rows.map((row) => `| ${row} |`).join('\n')}

| request | right | wrong |
| --- | --- | --- |
${kinds.join('\n')}
${receipt.wrongReasons.map((reason) => `\n- ${reason.replaceAll('\n', ' ')}`).join('')}
`;
}

function told(watched, megabytes) {
  return watched.map(({ name }, at) => `${name} ${megabytes[at].toFixed(1)} MB`).join(', ');
}

function minutesSince(ms) {
  return (performance.now() - ms) / 60_000;
}

/** Router and engine of an instance that is up. */
function running(folder) {
  const main = path.join(root, 'apps/sanctumctl/dist/bundle/main.mjs');
  const args = [main, 'status', '--json', '--home', folder];
  const status = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }));
  const services = status.services.filter(({ name }) => name === 'router' || name === 'engine');
  const { url } = services.find(({ name }) => name === 'router');
  const watched = services.map(({ name, pids }) => new Watch(name, pids));
  return { port: Number(new URL(url).port), watched, model: 'auto' };
}

async function startOwn() {
  const upstream = await start(path.join(here, 'soak-upstream.mjs'), []);
  const url = (behaviour) => `http://127.0.0.1:${upstream.port}/${behaviour}/v1`;
  const backends = {
    good: { url: url('good') },
    paced: { url: url('paced') },
    shaky: { url: url('shaky'), fallback_urls: [url('good')], breaker: { faults: 50 } },
    dying: { url: url('dying'), breaker: { faults: 50 } },
  };
  const router = { default: 'good', backends };
  const file = path.join(folder, 'instance.yaml');
  const instance = { instance: { name: 'soak' }, services: { router } };
  writeFileSync(file, JSON.stringify(instance));
  const main = path.join(root, 'apps/router/dist/bundle/main.mjs');
  const flags = ['--router-config', file, '--port', '0'];
  const collect = ['--expose-gc', `--import=${path.join(here, 'soak-collect.mjs')}`];
  const { port, child } = await start(main, flags, { SANCTUM_HOME: folder }, collect);
  return { port, watched: [new Watch('router', [child.pid], child)], model: undefined };
}

async function start(script, args, env = {}, nodeFlags = []) {
  const child = spawn(process.execPath, [...nodeFlags, script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit', ...(nodeFlags.length > 0 ? ['ipc'] : [])],
    env: { ...process.env, ...env },
  });
  children.push(child);
  await once(child, 'spawn');
  for await (const line of createInterface({ input: child.stdout })) {
    const port = portOf(line);
    if (port) {
      child.stdout.resume();
      return { port, child };
    }
  }
  throw new Error(`${script} ended before it was ready`);
}
