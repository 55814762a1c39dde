import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { IDENTITIES, isIdentity, SERVICE_NAMES, SERVICES, serviceOf } from './identities.js';
import { renderNatsConfig, type NatsConfigOptions } from './nats-config.js';
import { eventEnvelopeSchema, failoverSchema, heartbeatSchema } from './nats-payloads.js';
import { permissionsFor } from './nats-permissions.js';
import { EVENT_BYTES_MAX, STREAMS, STREAM_NAMES } from './nats-streams.js';
import { eventSchema, heartbeatSubject, subjectDefinitions } from './nats-subjects.js';
import { natsCapabilities, parseNatsVersion } from './nats-version.js';
import { parseWith } from './parse-with.js';

const users = IDENTITIES.map((identity) => ({
  identity,
  uri: `spiffe://sanctum.home/svc/${identity}/g1`,
}));
const options: NatsConfigOptions = {
  serverName: 'sanctum-home',
  listen: { host: '127.0.0.1', port: 4222 },
  monitor: { host: '127.0.0.1', port: 8222 },
  tls: { certFile: '/c/server.crt', keyFile: '/c/server.key', caFile: '/c/ca.crt' },
  users,
  storeDir: '/s/jetstream',
  version: parseNatsVersion('nats-server: v2.12.15'),
};

describe('identities', () => {
  it('gives each service one identity of its own', () => {
    expect(SERVICE_NAMES.map((service) => serviceOf(SERVICES[service]))).toEqual(SERVICE_NAMES);
    expect(serviceOf('canary')).toBeUndefined();
    expect(isIdentity('engine') && !isIdentity('toString')).toBe(true);
  });
});

describe('permissions', () => {
  it('lets a service say what is its own and hear what is meant for it', () => {
    expect(permissionsFor('engine')).toEqual({
      publish: [
        'sanctum.heartbeat.engine',
        'sanctum.audit.head.engine',
        'sanctum.incident.audit-trouble',
        'sanctum.incident.manifest-alert',
        'sanctum.incident.worker-restarted',
        '$JS.API.STREAM.CREATE.INCIDENTS',
        '$JS.API.STREAM.CREATE.DEADLETTERS',
        '_INBOX.sanctumctl.services.>',
      ],
      subscribe: [
        '_INBOX.engine.>',
        'sanctum.audit.head.*',
        ...['PING', 'INFO', 'STATS'].flatMap((verb) => [
          `$SRV.${verb}`,
          `$SRV.${verb}.engine`,
          `$SRV.${verb}.engine.*`,
        ]),
      ],
    });
  });

  it('gives nobody everything, and no inbox but the own one', () => {
    for (const identity of IDENTITIES) {
      const { publish, subscribe } = permissionsFor(identity);
      expect([...publish, ...subscribe]).not.toContain('>');
      expect(subscribe.filter((subject) => subject.startsWith('_INBOX.'))).toEqual([
        `_INBOX.${identity}.>`,
      ]);
      expect([...publish, ...subscribe].filter((subject) => subject.includes('{'))).toEqual([]);
    }
  });

  it('keeps every event subject in the stream that names it', () => {
    for (const { subject, stream } of subjectDefinitions()) {
      if (stream === undefined) continue;
      const prefixes = STREAMS[stream].subjects.map((pattern) => pattern.replace(/>$/, ''));
      expect(prefixes.some((prefix) => subject.startsWith(prefix))).toBe(true);
      expect(eventSchema(subject)).toBeDefined();
    }
    expect(eventSchema(heartbeatSubject('engine'))).toBeUndefined();
    expect(STREAMS.INCIDENTS.messageBytesMax).toBe(EVENT_BYTES_MAX);
  });

  it('bounds every stream in messages, bytes, age and size of a message', () => {
    for (const name of STREAM_NAMES) {
      const { messagesMax, bytesMax, ageMaxMs, messageBytesMax } = STREAMS[name];
      for (const limit of [messagesMax, bytesMax, ageMaxMs, messageBytesMax]) {
        expect(limit).toBeGreaterThan(0);
      }
      expect(STREAMS[name].name).toBe(name);
    }
  });
});

describe('the configuration of nats-server', () => {
  it('maps the URI SAN to a user, and holds one per identity', () => {
    const text = renderNatsConfig(options);
    expect(text).toContain('verify_and_map: true');
    for (const { uri } of users) expect(text.split(`user: "${uri}"`)).toHaveLength(2);
    expect(text).toContain('http: "127.0.0.1:8222"');
    expect(text).not.toContain('no_auth_user');
  });

  it('denies publishing to who has nothing to say', () => {
    const [block] = renderNatsConfig({
      ...options,
      users: users.filter((user) => user.identity === 'canary'),
    })
      .split('authorization')[1]
      ?.match(/publish: .*/) ?? [''];
    expect(block).toBe('publish: { deny: ">" }');
  });

  it('syncs every write where the server can', () => {
    expect(renderNatsConfig(options)).toContain('sync_interval: "always"');
    const old = { ...options, version: parseNatsVersion('v2.9.10') };
    expect(renderNatsConfig(old)).not.toContain('sync_interval');
  });

  it('refuses a monitor that others could reach, a URI twice, and control characters', () => {
    const monitor = { host: '0.0.0.0', port: 8222 };
    expect(() => renderNatsConfig({ ...options, monitor })).toThrow(/loopback.*0\.0\.0\.0/);
    expect(() => renderNatsConfig({ ...options, users: [...users, ...users] })).toThrow(/once/);
    expect(() => renderNatsConfig({ ...options, storeDir: '/a\n/b' })).toThrow(/control/);
  });

  it('lets no path end its string', () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !/\p{Cc}/u.test(text)),
        (storeDir) => {
          const line = renderNatsConfig({ ...options, storeDir })
            .split('\n')
            .find((text) => text.includes('store_dir:'));
          const inner = line?.replace(/^ {2}store_dir: "/, '').replace(/"$/, '') ?? '';
          expect(inner.replace(/\\[\\"]/g, '')).not.toMatch(/["\\]/);
        },
      ),
    );
  });
});

describe('versions of nats-server', () => {
  it.each([
    ['nats-server: v2.9.10', { syncInterval: false, vulnerable: true }],
    ['2.10.0', { syncInterval: true, vulnerable: true }],
    ['v2.11.14', { syncInterval: true, vulnerable: true }],
    ['v2.11.15', { syncInterval: true, vulnerable: false }],
    ['v2.12.5', { syncInterval: true, vulnerable: true }],
    ['v2.12.6', { syncInterval: true, vulnerable: false }],
    ['v2.15.2', { syncInterval: true, vulnerable: false }],
    ['v3.0.0', { syncInterval: true, vulnerable: false }],
  ])('%s', (text, capabilities) => {
    expect(natsCapabilities(parseNatsVersion(text))).toEqual(capabilities);
  });

  it('says what it found instead of a version', () => {
    expect(() => parseNatsVersion('command not found')).toThrow(/"command not found"/);
  });
});

describe('payloads', () => {
  const failover = {
    backend: 'council-secure',
    url: 'https://127.0.0.1:1338/v1',
    winningUrl: 'http://127.0.0.1:8902/v1',
    errorClass: 'connect',
    requestId: 'r1',
    attempts: 2,
  };

  it('takes a failover and refuses a URL with credentials in it', () => {
    expect(parseWith(failoverSchema, failover)).toEqual(failover);
    const leaky = { ...failover, url: 'https://me:secret@127.0.0.1:1338/v1' };
    expect(() => parseWith(failoverSchema, leaky)).toThrow(/url: expected a URL without/);
  });

  it('refuses fields nobody declared', () => {
    expect(() => parseWith(failoverSchema, { ...failover, prompt: 'x' })).toThrow(/"prompt"/);
    expect(() => parseWith(heartbeatSchema, {})).toThrow(/service: expected a string/);
    expect(() => parseWith(eventEnvelopeSchema, { id: '1' })).toThrow(/id/);
  });
});
