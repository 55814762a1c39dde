import { loadInstance } from '@sanctum/catalog';
import { ControlServer, LocalSupervisor, type ServiceSpec } from '@sanctum/supervision';
import { ensureCouncilToken } from '../instance/council-token.js';
import { findFallback } from '../instance/fallback.js';
import { natsServer } from '../instance/nats-server.js';
import { renewInProcess, startRenewalJob } from '../instance/renewal-job.js';
import { withSecrets } from '../instance/service-secrets.js';
import { serviceSpecs } from '../instance/service-specs.js';
import { bundleOf, type Site } from '../instance/site.js';

export interface SuperviseOptions {
  readonly site: Site;
  /** Leaves out every other service of the instance. */
  readonly only?: readonly string[] | undefined;
  /** Runs the Python fallback as well, whose environment must be there. */
  readonly withFallback?: boolean | undefined;
}

export interface Supervision {
  /** Resolves when all is ready; throws when a service is given up. */
  readonly started: Promise<void>;
  /** Resolves when everything is stopped, by whoever asked, and the home is free. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/** Runs the services of a prepared home in this process until told to stop. */
export async function supervise(options: SuperviseOptions): Promise<Supervision> {
  const { paths, socket } = options.site;
  // All that takes time comes first: once the home is ours, who asks over the socket is answered.
  const specs = await planServices(options);
  const supervisor = await LocalSupervisor.open({ paths, socket });
  try {
    for (const spec of specs) {
      await supervisor.install(spec);
    }
    return await beReachable(supervisor, options.site);
  } catch (error) {
    // Its lock and its timer would outlive the failure, and this process with them.
    await supervisor.close();
    throw error;
  }
}

/** Starts everything once the control socket is open. Throws `io` when it cannot be. */
async function beReachable(supervisor: LocalSupervisor, site: Site): Promise<Supervision> {
  let stopping: Promise<void> | undefined;
  let finish: (value: Promise<void>) => void;
  const ended = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const stop = (): Promise<void> => {
    stopping ??= job.stop().then(() => supervisor.stopAll());
    // The one who asked over the socket is answered before the socket closes.
    finish(stopping.then(() => control.close()).then(() => supervisor.close()));
    return stopping;
  };
  const control = await ControlServer.listen({ path: site.socket, supervisor, shutDown: stop });
  const job = startRenewalJob({
    renew: () => renewInProcess(site),
    say: (line) => process.stderr.write(`${line}\n`),
  });
  return { started: supervisor.startAll(), ended, stop };
}

/** What is to run, with the environment and the secrets of each. */
export async function planServices({
  site,
  only,
  withFallback,
}: SuperviseOptions): Promise<readonly ServiceSpec[]> {
  const { paths, environment } = site;
  const instance = loadInstance(paths.instanceFile);
  const nats = await natsServer(site, instance.services.nats?.server, 'find');
  const specs = serviceSpecs({
    instance,
    paths,
    node: process.execPath,
    bundles: { engine: bundleOf(site, 'engine'), router: bundleOf(site, 'router') },
    natsServer: nats.program,
    fallback: withFallback === true ? findFallback(site) : undefined,
    inherited: environment.inherited,
    councilToken: ensureCouncilToken(paths, instance),
  });
  return withSecrets(specs, instance, paths).filter(({ name }) => only?.includes(name) ?? true);
}
