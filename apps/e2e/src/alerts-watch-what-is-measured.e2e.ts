import { execFile } from 'node:child_process';
import { copyFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { homePaths, writeExampleInstance } from '@sanctum/catalog';
import { UpstreamProgram } from '@sanctum/testing';
import { parse } from 'yaml';
import { ask } from './ask.js';
import { checkout, Instance, runProgram } from './instance.js';
import { metricsOf, readExposition, unmeasured, type Measured } from './measured.js';

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert: string; readonly expr: string }[];
  }[];
}

interface RuleTests {
  readonly tests: readonly {
    readonly alert_rule_test: readonly {
      readonly alertname: string;
      readonly exp_alerts: readonly unknown[];
    }[];
  }[];
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

interface Dashboard {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly query: string | Variable }[] };
}

interface Variable {
  readonly query: string;
}

const FOLDER = path.join(checkout, 'deploy/observability');
const run = promisify(execFile);
const asFile = (name: string): Promise<string> => readFile(path.join(FOLDER, name), 'utf8');
const ownMetrics = (measured: Measured): string[] =>
  [...measured.keys()].filter((name) => !/^up$|_(?:nodejs|process)_|_(?:sum|count)$/.test(name));

/** Another backend, whose primary is away and whose fallback leaks its thoughts. */
const watched = (fallback: string): string => `
      watched:
        url: http://127.0.0.1:9/v1
        fallback_urls: ["${fallback}"]
        models: [watched]
        daily_cap_completion_tokens: 1000
`;

/** Found or fetched; on a machine where neither is possible this fails and says what to install. */
async function promtoolPath(): Promise<string> {
  const script = path.join(checkout, 'tools/provision/promtool.mjs');
  const { code, stdout, stderr } = await runProgram(process.execPath, [script, '--yes']);
  if (code !== 0) throw new Error(stderr);
  return stdout.trim();
}

/** A request whose path goes out as it is. */
function get(base: URL, options: RequestOptions): Promise<string> {
  const { hostname, port, protocol } = base;
  const request = protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    request({ hostname, port, agent: false, ...options }, (response) => {
      readText(response).then(resolve, reject);
    })
      .once('error', reject)
      .end();
  });
}

describe('alerts and dashboard', () => {
  let instance: Instance;
  let upstream: UpstreamProgram;
  let folder: string;
  let program: string;
  let rules: Rules['groups'][number]['rules'];
  let dashboard: Dashboard;
  let texts: { readonly router: string; readonly engine: string };
  let measured: Measured;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'sanctum-promtool-'));
    program = await promtoolPath();
    upstream = await UpstreamProgram.start();
    instance = await Instance.create();
    await configure();
    expect(await instance.up()).toMatchObject({ code: 0 });
    const router = await instance.url('router');
    await ask(router);
    await ask(router, { model: 'watched', stream: true });
    await get(new URL(router), { path: '/v1/dots/../models' });
    const { ca } = homePaths(instance.home);
    const { cert, key } = homePaths(instance.home).client('council-offbox');
    const tls = {
      ca: await readFile(ca.cert),
      cert: await readFile(cert),
      key: await readFile(key),
    };
    texts = {
      router: await get(new URL(router), { path: '/metrics' }),
      engine: await get(new URL(await instance.url('engine')), { path: '/metrics', ...tls }),
    };
    measured = readExposition(texts.router, texts.engine);
    rules = (parse(await asFile('alerts.yaml')) as Rules).groups.flatMap((group) => group.rules);
    dashboard = JSON.parse(await asFile('dashboard.json')) as Dashboard;
  });

  afterAll(async () => {
    await upstream.kill();
    await rm(folder, { recursive: true, force: true });
    expect(await instance.destroy()).toEqual([]);
  });

  /** As `up` writes it, with every listener and a backend that has something to count. */
  async function configure(): Promise<void> {
    writeExampleInstance({
      ...{ home: instance.home, name: 'home', timezone: 'UTC', modelName: 'padawan' },
      model: path.join(checkout, 'deploy/models/padawan'),
      manifestPublicKeys: [path.join(checkout, 'deploy/trust/manifest-pubkey.ed25519')],
    });
    const { instanceFile } = homePaths(instance.home);
    const text = await readFile(instanceFile, 'utf8');
    const edited = text
      .replace('# tls: { port: 8943 }', 'tls: { port: 8943 }')
      .replace(/^ {6}# council-ops:/m, `${watched(upstream.url('thinks'))}$&`);
    await writeFile(instanceFile, edited);
  }

  async function promtool(args: readonly string[], input = ''): Promise<string> {
    const running = run(program, [...args], { cwd: folder });
    running.child.stdin?.end(input);
    const { stdout, stderr } = await running;
    return stdout + stderr;
  }

  it('name metrics and labels that running services export', () => {
    const found = rules.flatMap(({ alert, expr }) =>
      unmeasured(expr, measured).map((problem) => `${alert}: ${problem}`),
    );
    expect(found).toEqual([]);
    const shown = dashboard.panels.flatMap(({ title, targets = [] }) =>
      targets.flatMap(({ expr, legendFormat }) => {
        const query = expr.replaceAll('$__rate_interval', '5m');
        const labels = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = '']) => label);
        const known = metricsOf(query).flatMap((name) => [...(measured.get(name) ?? [])]);
        return [
          ...unmeasured(query, measured),
          ...labels.filter((label) => !known.includes(label)).map((label) => `no label ${label}`),
        ].map((problem) => `${title}: ${problem}`);
      }),
    );
    expect(shown).toEqual([]);
    const variables = dashboard.templating.list.flatMap(({ query }) =>
      typeof query === 'string' ? [] : [/^label_values\((\w+), (\w+)\)$/.exec(query.query)],
    );
    expect(variables).toHaveLength(3);
    for (const variable of variables) {
      expect(measured.get(variable?.[1] ?? '')).toContain(variable?.[2]);
    }
  });

  it('are found out when they name something else', () => {
    expect(unmeasured('sum by (job) (rate(sanctum_router_http_request_total[5m])) > 0', measured)) //
      .toEqual(['no metric sanctum_router_http_request_total']);
    expect(unmeasured('sanctum_router_breaker_state{url="0"}', measured)) //
      .toEqual(['sanctum_router_breaker_state has no label url']);
    expect(unmeasured('sum by (route) (sanctum_mlx_open_requests)', measured)) //
      .toEqual(['sanctum_mlx_open_requests has no label route to go by']);
    expect(unmeasured('up == ', measured)[0]).toMatch(/^no PromQL at/);
    expect(unmeasured('{job="x"}', measured)).toEqual(['no metric {job="x"}']);
  });

  it('leave nothing out: each metric has a panel, each alert a test, and both are explained', async () => {
    const panels = dashboard.panels.filter(({ type }) => type !== 'row');
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const shown = new Set(
      panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => metricsOf(expr))),
    );
    expect(ownMetrics(measured).filter((name) => !shown.has(name))).toEqual([]);
    const { tests } = parse(await asFile('alerts.test.yaml')) as RuleTests;
    const cases = tests.flatMap((test) => test.alert_rule_test);
    const page = await readFile(path.join(checkout, 'docs-site/observability.md'), 'utf8');
    for (const { alert } of rules) {
      const fires = cases
        .filter(({ alertname }) => alertname === alert)
        .map((one) => one.exp_alerts);
      const tested = {
        fires: fires.some((alerts) => alerts.length > 0),
        keepsSilent: fires.some((alerts) => alerts.length === 0),
      };
      expect({ alert, ...tested }).toEqual({ alert, fires: true, keepsSilent: true });
      expect(page).toContain(`\`${alert}\``);
    }
    for (const name of ownMetrics(measured)) {
      const short = name.replace(/^sanctum_(?:router|mlx)_|_bucket$/g, '');
      expect(page).toContain(`\`${short}\``);
    }
  });

  it('pass promtool: rules, their tests, and both configurations beside real certificates', async () => {
    const files = ['alerts.yaml', 'alerts.test.yaml', 'prometheus.yaml', 'prometheus-remote.yaml'];
    for (const file of files) await copyFile(path.join(FOLDER, file), path.join(folder, file));
    await expect(promtool(['check', 'config', 'prometheus-remote.yaml'])).rejects.toThrow(
      /council-offbox\.crt/,
    );
    await cp(path.join(instance.home, 'certs'), path.join(folder, 'certs'), { recursive: true });
    expect(await promtool(['check', 'rules', 'alerts.yaml'])) //
      .toContain(`SUCCESS: ${rules.length} rules found`);
    expect(await promtool(['test', 'rules', 'alerts.test.yaml'])).toContain('SUCCESS');
    expect(await promtool(['check', 'config', 'prometheus.yaml'])).toContain('is valid');
    expect(await promtool(['check', 'config', 'prometheus-remote.yaml'])).toContain('is valid');
  });

  it.each(['router', 'engine'] as const)('pass promtool: the metrics of the %s', async (name) => {
    expect(await promtool(['check', 'metrics'], texts[name])).toBe('');
  });

  it('need a promtool, and say how to get one where there is none', async () => {
    const script = path.join(checkout, 'tools/provision/promtool.mjs');
    const without = (env: Record<string, string>) =>
      run(process.execPath, [script], { env: { PATH: folder, HOME: folder, ...env } });
    await expect(without({})).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/promtool is missing.*brew install prometheus/) as unknown,
    });
    const other = { SANCTUM_PROMTOOL: process.execPath };
    await expect(without(other)).rejects.toMatchObject({
      stderr: expect.stringMatching(/is no promtool; unset or fix it/) as unknown,
    });
  });
});
