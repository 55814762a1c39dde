import { join } from 'node:path';
import { createHome, loadInstance, withProcessLock, type Instance } from '@sanctum/catalog';
import { natsCapabilities } from '@sanctum/contracts';
import { ControlClient } from '@sanctum/supervision';
import { ensureCouncilToken } from '../instance/council-token.js';
import {
  assertFallbackConfigured,
  ensureFallback,
  FALLBACK_SERVICE,
  findFallback,
} from '../instance/fallback.js';
import { natsServer } from '../instance/nats-server.js';
import { forgetPorts, settlePorts, type PortMode } from '../instance/port-plan.js';
import { ensureCertificates, ensureInstance, writeNatsConfig } from '../instance/prepare.js';
import { readModelSummary } from '../instance/model.js';
import type { Site } from '../instance/site.js';
import type { Terminal } from '../terminal/terminal.js';
import { askCanary } from './canary.js';
import { EngineWatch } from './engine-watch.js';
import { down, reapLeftovers } from './down.js';
import { launchDetached, launchHere, type Launch } from './launch.js';

export interface UpOptions {
  readonly site: Site;
  readonly terminal: Terminal;
  readonly detach: boolean;
  readonly ports: PortMode;
  /** What is missing may be installed without asking. */
  readonly yes: boolean;
  /** Leaves out every other service, as `infra` does. */
  readonly only?: readonly string[] | undefined;
  /** Starts the Python fallback as well. */
  readonly withFallback?: boolean | undefined;
}

/**
 * Makes what the home lacks, starts everything in order, and asks the canary question. In the
 * foreground it then stays until everything is stopped.
 */
export async function up(options: UpOptions): Promise<void> {
  const { site, terminal, only } = options;
  if (await alreadyRunning(options)) {
    return;
  }
  const { state } = createHome(site.paths.home);
  // Of two at once, one would write ports and nats.conf under the services that the other starts.
  const lock = join(state, 'up.lock');
  const { instance, launch } = await withProcessLock(lock, 0, () => start(options));
  if (only === undefined) {
    await greet(instance, options);
  }
  if (!options.detach) {
    terminal.say('Ctrl-C stops everything.');
    await launch.ended;
    terminal.say('Stopped.');
  }
}

/** From a home that may lack everything to services that are ready. */
async function start(options: UpOptions): Promise<{ instance: Instance; launch: Launch }> {
  const { site, only, withFallback } = options;
  const instance = await prepare(options);
  const engineWatch = new EngineWatch(site);
  try {
    const launch = options.detach
      ? await launchDetached(site, { only, withFallback })
      : await launchHere(site, { only, withFallback });
    await follow(launch, engineWatch, options);
    return { instance, launch };
  } finally {
    await engineWatch.stop();
  }
}

/** Whether this home runs already as asked; a part of it that `infra` started makes way. */
async function alreadyRunning(options: UpOptions): Promise<boolean> {
  const { site, terminal, only, withFallback } = options;
  const client = new ControlClient(site.socket);
  if (!(await client.isRunning())) {
    return false;
  }
  const instance = loadInstance(site.paths.instanceFile);
  const { pid, services } = await client.status();
  const wanted = wantedServices(instance, { only, withFallback });
  if (!wanted.every((name) => services.some((service) => service.name === name))) {
    terminal.say(
      `Only a part of ${site.paths.home} runs (supervisor ${pid}): it is stopped first.`,
    );
    // What may fail, or take long, comes before what serves is stopped.
    await prepareFallback(instance, options);
    await down({ site, terminal });
    return false;
  }
  terminal.say(`Sanctum is already running in ${site.paths.home} (supervisor ${pid}).`);
  for (const { name, state, url } of services) {
    if (state === 'ready' || !wanted.includes(name)) continue;
    await terminal.step(name, async () => {
      await client.start(name);
      return { value: undefined, detail: url };
    });
  }
  if (only === undefined) {
    await greet(instance, { site, terminal });
  }
  return true;
}

async function prepare(options: UpOptions): Promise<Instance> {
  const { site, terminal, ports } = options;
  const { paths } = site;
  await reapLeftovers({ site, terminal });
  if (ports === 'configured') {
    forgetPorts(paths);
  }
  const written = await terminal.step('home', async () => {
    const { instance, created } = ensureInstance(site, {
      withFallback: options.withFallback === true,
    });
    const detail = created ? `${paths.home}, instance.yaml written` : paths.home;
    return Promise.resolve({ value: instance, detail });
  });
  const instance = await terminal.step('ports', async () => {
    const value = await settlePorts(written, paths, ports);
    return { value, detail: ports === 'auto' ? 'picked free ones' : 'free' };
  });
  await terminal.step('certificates', async () => {
    const { issued, kept } = await ensureCertificates(paths, instance);
    ensureCouncilToken(paths, instance);
    return { value: undefined, detail: `${issued.length} made, ${kept.length} kept` };
  });
  await prepareNats(instance, options);
  await prepareModel(instance, options);
  await prepareFallback(instance, options);
  return instance;
}

async function prepareNats(instance: Instance, { site, terminal, yes }: UpOptions): Promise<void> {
  const { nats } = instance.services;
  if (nats?.enabled !== true) {
    return;
  }
  await terminal.step('nats-server', async () => {
    const server = await natsServer(site, nats.server, yes ? 'provide_unasked' : 'provide');
    await writeNatsConfig(site.paths, instance, server);
    const warning = natsCapabilities(server.version).vulnerable
      ? ' (has known vulnerabilities: loopback only; see sanctumctl doctor)'
      : '';
    return { value: undefined, detail: `${server.label}${warning}` };
  });
}

async function prepareModel(instance: Instance, { terminal, only }: UpOptions): Promise<void> {
  const { engine } = instance.services;
  if (engine?.enabled !== true || only?.includes('engine') === false) {
    return;
  }
  // Hashes are the engine's to prove, of the very files that it maps.
  await terminal.step('model', async () => {
    const { id } = readModelSummary(engine);
    return Promise.resolve({ value: undefined, detail: `${id}, signature verified` });
  });
}

async function prepareFallback(
  instance: Instance,
  { site, terminal, withFallback }: UpOptions,
): Promise<void> {
  if (withFallback !== true) return;
  assertFallbackConfigured(instance);
  await terminal.step('fallback environment', async (progress) => {
    const isThere = findFallback(site) !== undefined;
    if (!isThere) progress.update('installing mlx-lm, once');
    const { python } = await ensureFallback(site, instance);
    return { value: undefined, detail: isThere ? 'there' : python };
  });
}

/** One line per service as it becomes ready; a failure ends what was started, and says why. */
async function follow(launch: Launch, engineWatch: EngineWatch, options: UpOptions): Promise<void> {
  const { terminal, site } = options;
  const names = wantedServices(loadInstance(site.paths.instanceFile), options);
  try {
    for (const name of names) {
      await terminal.step(name, async (progress) => {
        if (name === 'engine') {
          engineWatch.onPercent = (percent) => progress.update(`${percent} % verified`);
        }
        return { value: undefined, detail: await launch.untilReady(name) };
      });
    }
    for (const alert of engineWatch.alerts) terminal.say(`! ${alert}`);
  } catch (error) {
    await launch.stop();
    throw error;
  }
}

async function greet(
  instance: Instance,
  { site, terminal }: Pick<UpOptions, 'site' | 'terminal'>,
): Promise<void> {
  const { router } = instance.services;
  if (router?.enabled !== true) {
    return;
  }
  await terminal.step('canary', async () => {
    const { question, answer, url } = await askCanary(loadInstance(site.paths.instanceFile));
    return { value: undefined, detail: `${url} "${question}" → ${JSON.stringify(answer)}` };
  });
  terminal.say();
  terminal.say('Try next:');
  terminal.table([
    ['  sanctumctl chat', 'talk in the terminal'],
    ['  sanctumctl status', 'what runs, and is it healthy'],
    ['  sanctumctl logs engine -f', 'follow a log'],
    ['  sanctumctl down', 'stop everything'],
  ]);
}

function wantedServices(
  instance: Instance,
  { only, withFallback }: Pick<UpOptions, 'only' | 'withFallback'>,
): readonly string[] {
  const names = only ?? enabledServices(instance);
  return withFallback === true ? [...names, FALLBACK_SERVICE] : names;
}

/** In start order. */
export function enabledServices(instance: Instance): readonly string[] {
  const names = ['nats', 'engine', 'router'] as const;
  return names.filter((name) => instance.services[name]?.enabled === true);
}
