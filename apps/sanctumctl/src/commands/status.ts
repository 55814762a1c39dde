import { existsSync } from 'node:fs';
import { groupMembers, loadInstance, type Instance } from '@sanctum/catalog';
import { ControlClient, readRecord, type Phase, type SupervisorRecord } from '@sanctum/supervision';
import { summariseModel, type ModelSummary } from '../instance/model.js';
import { serviceUrls } from '../instance/service-specs.js';
import type { Site } from '../instance/site.js';
import type { Terminal } from '../terminal/terminal.js';
import { enabledServices } from './up.js';

export interface ServiceLine {
  readonly name: string;
  readonly pid: number | null;
  /** The process and all it forked. */
  readonly pids: readonly number[];
  /** `orphaned`: it runs, but the supervisor that started it was killed. */
  readonly state: Phase | 'orphaned';
  readonly healthy: boolean;
  /** Without a path. */
  readonly url: string;
  readonly restarts: number;
  readonly started_at: string | null;
  readonly reason: string | null;
}

export interface StatusReport {
  readonly home: string;
  readonly supervisor: { readonly pid: number } | null;
  readonly services: readonly ServiceLine[];
  readonly model: ModelSummary | null;
}

/** What this home runs, whether or not a supervisor is there to ask. */
export async function readStatus(site: Site): Promise<StatusReport> {
  const { home, instanceFile } = site.paths;
  if (!existsSync(instanceFile)) {
    return { home, supervisor: null, services: [], model: null };
  }
  const instance = loadInstance(instanceFile);
  const client = new ControlClient(site.socket);
  const base = { home, model: summariseModel(instance) };
  if (await client.isRunning()) {
    const { pid, services } = await client.status();
    return {
      ...base,
      supervisor: { pid },
      services: services.map(({ startedAt, name, pid: own, pids, state, ...rest }) => ({
        name,
        pid: own,
        pids,
        state,
        healthy: rest.healthy,
        url: rest.url,
        restarts: rest.restarts,
        started_at: startedAt,
        reason: rest.reason,
      })),
    };
  }
  const record = readRecord(site.paths.supervisorFile);
  return { ...base, supervisor: null, services: unsupervised(instance, record) };
}

function unsupervised(
  instance: Instance,
  record: SupervisorRecord | undefined,
): readonly ServiceLine[] {
  const urls = serviceUrls(instance);
  return enabledServices(instance).map((name) => {
    const left = record?.services.find((service) => service.name === name);
    const pids = left === undefined ? [] : groupMembers(left);
    return {
      name,
      pid: pids[0] ?? null,
      pids,
      state: pids.length > 0 ? 'orphaned' : 'stopped',
      healthy: false,
      url: urls[name] ?? '',
      restarts: 0,
      started_at: null,
      reason: pids.length > 0 ? 'its supervisor was killed; `sanctumctl down` ends it' : null,
    };
  });
}

/** Prints the report. Returns whether there is something that should run, and all of it is healthy. */
export async function status(
  site: Site,
  terminal: Terminal,
  options: { readonly json: boolean },
): Promise<boolean> {
  const report = await readStatus(site);
  if (options.json) {
    terminal.say(JSON.stringify(report, null, 2));
  } else {
    print(report, terminal);
  }
  return report.services.length > 0 && report.services.every(({ healthy }) => healthy);
}

function print(report: StatusReport, terminal: Terminal): void {
  terminal.say(`home   ${report.home}`);
  if (report.services.length === 0) {
    terminal.say('Nothing is set up here yet. `sanctumctl up` makes it.');
    return;
  }
  const { model } = report;
  terminal.say(
    `model  ${model === null ? 'not verified' : `${model.id} ${model.digest.slice(0, 16)}`}`,
  );
  terminal.say();
  terminal.table([
    ['', 'service', 'state', 'pid', 'restarts', 'url'],
    ...report.services.map((service) => [
      service.healthy ? terminal.style('green', '●') : terminal.style('red', '○'),
      service.name,
      service.state,
      service.pid === null ? '-' : String(service.pid),
      String(service.restarts),
      service.url,
    ]),
  ]);
  for (const { name, reason } of report.services) {
    if (reason !== null) {
      terminal.say(`${name}: ${reason}`);
    }
  }
}
