import { ControlClient } from '@sanctum/supervision';
import type { Instance } from '@sanctum/catalog';
import { EXIT } from '../exit-codes.js';
import { checkAudit } from '../doctor/audit.js';
import type { Finding, Level } from '../doctor/check.js';
import { checkClock } from '../doctor/clock.js';
import {
  checkCertificateFiles,
  checkManifest,
  checkNats,
  checkPorts,
  checkServices,
  readInstance,
} from '../doctor/home.js';
import {
  checkAuthentication,
  checkBuilt,
  checkCompiler,
  checkDisk,
  checkMemory,
  checkNatsServer,
  checkNode,
} from '../doctor/machine.js';
import { checkPermissions } from '../doctor/permissions.js';
import type { Site } from '../instance/site.js';
import type { Terminal } from '../terminal/terminal.js';

export interface DoctorOptions {
  readonly json: boolean;
  /** Leaves out what takes longer than a second: hashing the model. */
  readonly quick: boolean;
}

/** Everything that can be checked about machine and home; nothing is changed. */
export async function examine(site: Site, quick: boolean): Promise<readonly Finding[]> {
  const { finding, instance } = readInstance(site);
  return [
    checkNode(process.version),
    checkCompiler(site),
    checkBuilt(site),
    checkDisk(site),
    checkMemory(),
    checkClock(site),
    checkAuthentication(site),
    checkPermissions(site, instance),
    await checkAudit(site, quick),
    await checkNatsServer(site, instance?.services.nats?.server),
    finding,
    ...(instance === undefined ? [] : await examineInstance(site, instance, quick)),
  ];
}

async function examineInstance(
  site: Site,
  instance: Instance,
  quick: boolean,
): Promise<readonly Finding[]> {
  const running = await new ControlClient(site.socket).isRunning();
  return [
    ...(await checkPorts(site, instance)),
    ...(await checkCertificateFiles(site)),
    await checkManifest(site, instance, quick),
    await checkNats(instance, running),
    ...(await checkServices(site)),
  ];
}

/** Prints findings. Returns the exit code: 0 unless something failed. */
export async function doctor(
  site: Site,
  terminal: Terminal,
  options: DoctorOptions,
): Promise<number> {
  const findings = await examine(site, options.quick);
  const failed = findings.some(({ level }) => level === 'fail');
  if (options.json) {
    terminal.say(JSON.stringify({ ok: !failed, findings }, null, 2));
  } else {
    findings.forEach((finding) => print(finding, terminal));
  }
  return failed ? EXIT.failed : EXIT.ok;
}

const MARKS: Readonly<Record<Level, readonly ['green' | 'yellow' | 'red', string]>> = {
  ok: ['green', '✓'],
  warn: ['yellow', '!'],
  fail: ['red', '✗'],
};

function print({ level, check, detail, advice }: Finding, terminal: Terminal): void {
  const [colour, mark] = MARKS[level];
  terminal.say(`${terminal.style(colour, mark)} ${check.padEnd(15)} ${detail}`);
  if (advice !== undefined) {
    terminal.say(`  ${' '.repeat(15)} → ${advice}`);
  }
}
