// A process from outside: its memory as samples over time, and the sockets it holds.
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { clearInterval, setInterval } from 'node:timers';
import { setTimeout as delay } from 'node:timers/promises';

const LISTEN = '0A';
const SOCKETS_WAIT_S = 90;

/**
 * Watches the processes of one service; its memory is the sum of their PSS. `collector` is a child
 * that runs soak-collect.mjs.
 */
export class Watch {
  samples = [];
  collected = [];
  #timer;
  #collector;
  #ended = new AbortController();
  #begunMs = 0;

  constructor(name, pids, collector) {
    this.name = name;
    this.pids = pids;
    this.#collector = collector;
    collector?.once('exit', () => this.#ended.abort());
    this.socketsBefore = this.sockets();
    this.handlesBefore = this.#handles();
  }

  start(everyMs) {
    this.#begunMs = performance.now();
    this.#timer = setInterval(() => this.#sample(), everyMs);
  }

  stop() {
    clearInterval(this.#timer);
  }

  /** Lets it collect its garbage; what is left is a sample. */
  async collect() {
    if (!this.#collector?.connected) return;
    this.#collector.send('collect');
    const { signal } = this.#ended;
    const [left] = await once(this.#collector, 'message', { signal }).catch(() => []);
    if (left === undefined) return;
    this.collected.push({ hours: this.#hours(), mb: this.megabytes, liveMb: left.liveMb });
  }

  get megabytes() {
    return this.pids.reduce((sum, pid) => sum + pss(pid), 0);
  }

  /** Connections of all its processes that are not in LISTEN. */
  sockets() {
    return this.pids.reduce((sum, pid) => sum + connections(pid), 0);
  }

  /** More than before the load, once every client is gone and kept-alive upstreams are given up. */
  async leaked() {
    let left = Infinity;
    for (let second = 0; second < SOCKETS_WAIT_S && left > 0; second += 1) {
      await delay(1_000);
      left = Math.max(0, this.sockets() - this.socketsBefore);
    }
    return { sockets: left, handles: Math.max(0, this.#handles() - this.handlesBefore) };
  }

  /** Of the samples after `settleMinutes`. */
  judge(settleMinutes) {
    const settled = (samples) => samples.filter(({ hours }) => hours * 60 >= settleMinutes);
    const seen = settled(this.samples);
    const values = seen.map(({ mb }) => mb);
    const collected = settled(this.collected);
    return {
      samples: seen.length,
      firstMb: rounded(values[0]),
      lastMb: rounded(values.at(-1)),
      peakMb: rounded(Math.max(...values)),
      slope: slopeOf(seen),
      floorSlope: slopeOf(floors(seen)),
      ...(collected.length > 2 && {
        collectedSlope: slopeOf(collected),
        liveSlope: slopeOf(collected.map(({ hours, liveMb }) => ({ hours, mb: liveMb }))),
      }),
    };
  }

  #sample() {
    try {
      this.samples.push({ hours: this.#hours(), mb: this.megabytes });
    } catch {
      // The process is gone; that is noticed elsewhere.
    }
  }

  #hours() {
    return (performance.now() - this.#begunMs) / 3_600_000;
  }

  #handles() {
    return this.pids.reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0);
  }
}

/** Least squares in MB an hour, with the standard error of the slope as if samples were independent. */
export function slopeOf(samples) {
  const mean = (key) => samples.reduce((sum, sample) => sum + sample[key], 0) / samples.length;
  const [x, y] = [mean('hours'), mean('mb')];
  const spread = samples.reduce((sum, { hours }) => sum + (hours - x) ** 2, 0);
  const slope = samples.reduce((sum, { hours, mb }) => sum + (hours - x) * (mb - y), 0) / spread;
  const rest = samples.reduce((sum, { hours, mb }) => sum + (mb - y - slope * (hours - x)) ** 2, 0);
  const error = Math.sqrt(rest / Math.max(1, samples.length - 2) / spread);
  return { mbH: rounded(slope), errorMbH: rounded(error) };
}

/** The least of each minute. */
export function floors(samples) {
  const byMinute = new Map();
  for (const sample of samples) {
    const minute = Math.floor(sample.hours * 60);
    const least = byMinute.get(minute);
    if (least === undefined || sample.mb < least.mb) byMinute.set(minute, sample);
  }
  return [...byMinute.values()];
}

function rounded(value) {
  return Number.isFinite(value) ? Math.round(value * 100) / 100 : null;
}

/** Proportional set size in MB. */
function pss(pid) {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Pss:\s+(\d+)/m.exec(rollup)[1]) / 1024;
}

/** The socket inodes of /proc/PID/fd in /proc/net. */
function connections(pid) {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`)
      .map((fd) => /^socket:\[(\d+)\]$/.exec(readlink(`/proc/${pid}/fd/${fd}`))?.[1])
      .filter((inode) => inode !== undefined),
  );
  return ['tcp', 'tcp6']
    .flatMap((table) => readFileSync(`/proc/net/${table}`, 'utf8').trim().split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] !== LISTEN && inodes.has(fields[9])).length;
}

function readlink(file) {
  try {
    return readlinkSync(file);
  } catch {
    return '';
  }
}
