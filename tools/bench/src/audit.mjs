// What a line of the audit costs the service that notes it, disk included.
// usage: audit.mjs [--rounds 7] [--lines 50000]
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { AuditLog } from '../../../libs/audit/dist/index.js';
import { machine, option, told } from './rounds.mjs';

const rounds = Number(option('rounds', 7));
const lines = Number(option('lines', 50_000));
/** As many as arrive in the 100 ms of a group under full load. */
const GROUP = 1_500;

const folder = mkdtempSync(path.join(os.tmpdir(), 'sanctum-audit-bench-'));
try {
  const log = await AuditLog.open({ dir: path.join(folder, 'router') });
  const costs = [];
  for (let round = 0; round <= rounds; round += 1) {
    const begun = process.cpuUsage();
    for (let line = 0; line < lines; line += 1) {
      log.note('request', record(line));
      if (line % GROUP === GROUP - 1) await log.settled();
    }
    await log.settled();
    const { user, system } = process.cpuUsage(begun);
    // The first round warms up.
    if (round > 0) costs.push((user + system) / lines);
  }
  if (log.dropped > 0) throw new Error(`${log.dropped} lines were dropped`);
  console.log(`${machine()}; ${rounds} rounds of ${lines} lines in groups of ${GROUP}`);
  console.log(`  CPU a line, all threads: ${told(costs)} µs`);
  await log.close();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function record(line) {
  return {
    request_id: `3f0c2a9e-5b1d-4c7e-9a68-${String(line).padStart(12, '0')}`,
    identity: 'local',
    transport: 'plain-loopback',
    route: 'chat/completions',
    model: 'mock',
    backend: 'mock',
    rule: 'exact',
    url_index: 0,
    upstream_transport: 'plain-loopback',
    digest: undefined,
    outcome: 'answered',
    status: 200,
    error_class: undefined,
    attempts: 1,
    prompt_tokens: 12,
    completion_tokens: 2,
    elapsed_ms: 3,
  };
}
