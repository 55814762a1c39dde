import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isSanctumError } from '@sanctum/errors';
import { INSTANCE_BYTES_MAX, loadInstance, parseInstance } from './load-instance.js';
import { isPublicHost } from './upstream-url.js';

const FILE = '/srv/home/instance.yaml';

function refusal(text: string): string {
  try {
    parseInstance(text, FILE);
  } catch (error) {
    if (isSanctumError(error) && error.code === 'config_invalid') {
      return error.message;
    }
    throw error;
  }
  throw new Error('the text was accepted');
}

function withBackend(lines: string): string {
  const indented = lines.replaceAll(/^/gm, '        ');
  return `instance: { name: a }
services:
  router:
    backends:
      one:
${indented}`;
}

describe('parseInstance', () => {
  it('fills in defaults and makes paths absolute against the folder of the file', () => {
    const { instance, services } = parseInstance(
      `instance: { name: home }
services:
  nats: {}
  engine: { model: ../models/padawan, auth_token_file: /run/token }
  router: { default: a, backends: { a: { url: "https://127.0.0.1:1338/v1" } } }
`,
      FILE,
    );
    expect(instance).toEqual({ name: 'home', timezone: 'UTC' });
    expect(services.nats).toMatchObject({ port: 4222, monitor_port: 8222, enabled: true });
    expect(services.engine).toMatchObject({
      model: '/srv/models/padawan',
      auth_token_file: '/run/token',
      listeners: { plain: { hosts: ['127.0.0.1'], port: 1337 }, tls: { port: 1338 } },
    });
    expect(services.router).toMatchObject({
      port: 8900,
      backends: { a: { fallback_urls: [], models: [] } },
    });
  });

  it('accepts the names operators know', () => {
    const { services } = parseInstance(
      'instance: { name: a }\nservices:\n  sanctum_mlx: { model: m }\n  sanctum_server: { port: 1 }\n',
      FILE,
    );
    expect(services.engine?.model).toBe('/srv/home/m');
    expect(services.router?.port).toBe(1);
  });

  it('refuses an alias beside its canonical name', () => {
    expect(
      refusal(
        'instance: { name: a }\nservices:\n  engine: { model: m }\n  sanctum_mlx: { model: m }\n',
      ),
    ).toContain(
      'line 4: services.sanctum_mlx is another name of services.engine: expected one of them, found both',
    );
  });

  it('names an unknown key with line, path, expected and found', () => {
    expect(refusal(withBackend('url: http://a/v1\nurll: x'))).toContain(
      'line 7: services.router.backends.one.urll: unknown key: expected one of url, fallback_urls',
    );
    expect(refusal(withBackend('url: http://a/v1\nurll: x'))).toMatch(/found urll$/);
  });

  it('spells paths as the file does when an alias is used', () => {
    expect(
      refusal('instance: { name: a }\nservices:\n  sanctum_mlx:\n    model: m\n    thread: 2\n'),
    ).toContain('line 5: services.sanctum_mlx.thread: unknown key');
  });

  it.each([
    ['port: 70000', 'services.router.port: expected at most 65535, found 70000'],
    ['port: "8900"', 'services.router.port: expected number, found "8900"'],
    ['strict_models: yes please', 'expected boolean, found "yes please"'],
    ['default: nobody', 'services.router.default: expected the name of a backend (none is'],
    ['intent_keywords: { nobody: [a] }', 'services.router.intent_keywords.nobody: expected'],
  ])('refuses %s', (setting, message) => {
    const text = `instance: { name: a }\nservices:\n  router:\n    ${setting}\n`;
    expect(refusal(text)).toContain('line 4: ');
    expect(refusal(text)).toContain(message);
  });

  it('points at the nearest line when a required key is missing', () => {
    expect(refusal('instance: { name: a }\nservices:\n  engine:\n    threads: 2\n')).toContain(
      'line 3: services.engine.model: expected string, found nothing',
    );
  });

  it('refuses two listeners on one port', () => {
    const text =
      'instance: { name: a }\nservices:\n  nats: { port: 8900 }\n  router:\n    port: 8900\n';
    expect(refusal(text)).toContain(
      'line 5: services.router.port: expected a port of its own (services.nats.port has the same)',
    );
  });

  it('refuses a time zone and a name nobody can use', () => {
    const text = refusal('instance: { name: My Home, timezone: Mars }\nservices: {}\n');
    expect(text).toContain('instance.name: expected lower-case letters');
    expect(text).toContain('instance.timezone: expected an IANA time zone');
  });

  it('reports broken YAML with its line', () => {
    expect(refusal('instance: { name: a }\nservices: [\n')).toMatch(/line \d+: /);
    expect(refusal('a: 1\na: 2\n')).toContain('line 2: Map keys must be unique');
  });

  it('is total: any text is accepted or refused as config_invalid', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii' }), (text) => {
        expect(refusal(text)).toContain(FILE);
      }),
    );
  });
});

describe('backend URLs', () => {
  it.each([
    ['url: ftp://a/v1', 'an http or https URL'],
    ['url: http://user:pw@a/v1', 'a URL without credentials'],
    ['url: http://a:1337', 'includes the API version'],
    ['url: http://a/v1?key=1', 'without query'],
    ['url: http://a/v1\nfallback_urls: [http://b]', 'fallback_urls.0: expected a URL whose path'],
    ['url: http://a/v1\nfallback_urls: [{ url: http://b }]', 'fallback_urls.0.url: expected'],
    ['url: http://a/v1\nfallback_urls: [{ uri: http://b/v1 }]', 'fallback_urls.0.uri: unknown key'],
  ])('refuses %j', (lines, message) => {
    expect(refusal(withBackend(lines))).toContain(message);
  });

  it.each(['sk-1', 'sk@2', 'a/sk-3', 'sk-4?', `${'x'.repeat(80)}sk-5`])(
    'repeats no credentials of a URL: %j',
    (password) => {
      const found = refusal(withBackend(`url: "http://user:${password}@a/v1"`));
      expect(found).toMatch(/expected .*URL.*found "http:\/\/\[scrubbed\]@a\/v1"/);
      expect(found).not.toMatch(/user|sk|xx/);
    },
  );

  it('never lets a public host inherit a key', () => {
    const inherited = 'url: http://127.0.0.1:1/v1\napi_key_env: KEY\nfallback_urls:\n  - ';
    expect(refusal(withBackend(`${inherited}https://api.example.com/v1`))).toContain(
      'line 9: services.router.backends.one.fallback_urls.0: expected an object {url, api_key_env}',
    );
    expect(refusal(withBackend(`${inherited}url: https://api.example.com/v1`))).toContain(
      'a public host never inherits $KEY',
    );
    for (const own of ['OTHER_KEY', 'null']) {
      const entry = `${inherited}{ url: "https://api.example.com/v1", api_key_env: ${own} }`;
      expect(() => parseInstance(withBackend(entry), FILE)).not.toThrow();
    }
    expect(() =>
      parseInstance(withBackend(`${inherited}http://100.70.0.5:8902/v1`), FILE),
    ).not.toThrow();
  });

  it.each([
    ['127.0.0.1', false],
    ['10.1.2.3', false],
    ['172.32.0.1', true],
    ['100.127.0.1', false],
    ['100.128.0.1', true],
    ['[::1]', false],
    ['[fd00::1]', false],
    ['[2001:db8::1]', true],
    ['mini', false],
    ['mini.local', false],
    ['openrouter.ai', true],
  ])('%s public: %s', (host, expected) => {
    expect(isPublicHost(host)).toBe(expected);
  });
});

describe('loadInstance', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sanctum-catalog-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  it('says what to do when there is no file', () => {
    expect(() => loadInstance(join(folder, 'none.yaml'))).toThrow(/cannot be read.*sanctumctl up/);
  });

  it('refuses a file beyond the limit', () => {
    const file = join(folder, 'large.yaml');
    writeFileSync(file, '#'.repeat(INSTANCE_BYTES_MAX + 1));
    expect(() => loadInstance(file)).toThrow(/1048577 bytes/);
  });

  it('refuses a billion laughs', () => {
    const rows = Array.from({ length: 12 }, (_, row) =>
      row === 0
        ? 'a0: &a0 [x, x, x]'
        : `a${row}: &a${row} [*a${row - 1}, *a${row - 1}, *a${row - 1}]`,
    );
    expect(refusal(rows.join('\n'))).toContain('alias');
  });
});
