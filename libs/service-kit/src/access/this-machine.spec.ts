import { hostname } from 'node:os';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { admit } from './access-rule.js';
import { foreignSign, isOwnCall } from './this-machine.js';

const address = '127.0.0.1';

describe('a call from loopback', () => {
  it.each([
    ...[
      '127.0.0.1:8900',
      '127.0.0.1',
      'localhost:8900',
      'LOCALHOST',
      'localhost.:80',
      '[::1]:8900',
    ],
    ...['192.168.1.20:8900', '[fe80::1]', 'mac.local:8900', 'host.docker.internal:8900'],
    ...['a.localhost', 'ai.home.arpa', hostname(), '', undefined],
  ])('to %p is of this machine', (host) => {
    expect(isOwnCall({ address, host })).toBe(true);
  });

  it.each([
    ...[
      'evil.com:8900',
      'evil.com',
      '127.0.0.1.evil.com',
      'localhost.evil.com:8900',
      'notlocalhost',
    ],
    ...[
      'evil.com.',
      'evil.internal.com',
      '127.0.0.1:8900@evil.com',
      'evil.com#.local',
      '[evil.com]',
    ],
    ...['localhost:8900:evil', '127.0.0.1 evil.com', '::1'],
  ])('to %p is not', (host) => {
    expect(isOwnCall({ address, host })).toBe(false);
  });

  it.each([
    ...[
      'http://localhost:3000',
      'https://127.0.0.1',
      'http://[::1]:8900',
      'http://tauri.localhost',
    ],
    ...['app://obsidian.md', 'vscode-webview://0a1b', 'tauri://localhost', undefined],
  ])('by a page of %p is of this machine', (origin) => {
    expect(isOwnCall({ address, host: 'localhost:8900', origin })).toBe(true);
  });

  it.each([
    ...['https://evil.com', 'http://203.0.113.5', 'http://192.168.1.7', 'null', 'http://mac.local'],
    ...['HTTPS://EVIL.COM', 'http://localhost.evil.com', 'http://', 'https://evil.com/@localhost'],
  ])('by a page of %p is not', (origin) => {
    expect(foreignSign({ address, host: 'localhost:8900', origin })).toBe(origin);
  });

  it('is what it takes: whoever calls us localhost from elsewhere is not of this machine', () => {
    expect(isOwnCall({ address: '10.0.0.1', host: 'localhost' })).toBe(false);
  });

  it('by a page that came from where it calls is of this machine, by whatever local name', () => {
    const host = 'mac.local:8900';
    expect(isOwnCall({ address, host, origin: `http://${host}` })).toBe(true);
    expect(isOwnCall({ address, host: 'evil.com', origin: 'http://evil.com' })).toBe(false);
  });

  it('is not of this machine by any name below a public domain', () => {
    fc.assert(
      fc.property(fc.domain(), fc.integer({ min: 1, max: 65535 }), (name, port) => {
        expect(isOwnCall({ address, host: `${name}:${port}` })).toBe(false);
        expect(isOwnCall({ address, host: `localhost.${name}` })).toBe(false);
      }),
    );
  });
});

describe('a web page from elsewhere', () => {
  const visitor = {
    listener: 'plain',
    address,
    host: 'evil.com',
    authorization: undefined,
  } as const;

  it('is told what it is taken for, and how to come in', () => {
    const token = 'a'.repeat(64);
    expect(() => admit(visitor, { token, disabled: false })).toThrow(
      /^"evil.com" is neither a name of this machine nor a page of it\. Call it localhost.*Bearer/,
    );
    const authorization = `Bearer ${token}`;
    expect(admit({ ...visitor, authorization }, { token, disabled: false })).toMatchObject({
      ...{ transport: 'bearer', identity: 'bearer' },
    });
  });

  it('is told of no token where there is none, and passes where nobody is asked', () => {
    const open = { token: undefined, disabled: false };
    expect(() => admit(visitor, open)).toThrow(/or by its address\.$/);
    expect(admit(visitor, { ...open, disabled: true }).transport).toBe('auth-disabled');
  });
});
