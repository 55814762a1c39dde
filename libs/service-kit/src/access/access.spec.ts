import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { admit, type AccessPolicy, type Visitor } from './access-rule.js';
import { readToken } from './token-file.js';

const token = 'a'.repeat(64);
const closed: AccessPolicy = { token, disabled: false };
const plain = (address: string | undefined, authorization?: string): Visitor => ({
  ...{ listener: 'plain', address, authorization },
});

describe('admit', () => {
  it.each(['127.0.0.1', '127.255.1.2', '::1', '::ffff:127.0.0.1', '::FFFF:127.9.9.9'])(
    'lets %s in without a token',
    (address) => {
      const nobody = { token: undefined, disabled: false };
      expect(admit(plain(address), nobody).transport).toBe('plain-loopback');
    },
  );

  it.each(['10.0.0.1', '::2', '::ffff:10.0.0.1', '128.0.0.1', '127.0.0.1.example', '', undefined])(
    'asks %p for the token',
    (address) => {
      expect(() => admit(plain(address), closed)).toThrow(/Authorization: Bearer/);
      expect(admit(plain(address, `Bearer ${token}`), closed).transport).toBe('bearer');
      expect(admit(plain(address, `bearer ${token}`), closed).transport).toBe('bearer');
    },
  );

  it('has no token that opens a door without one', () => {
    const policy = { token: undefined, disabled: false };
    expect(() => admit(plain('10.0.0.1', 'Bearer '), policy)).toThrow(/no bearer token is set up/);
    expect(() => admit(plain('10.0.0.1', 'Bearer undefined'), policy)).toThrow(/set up/);
  });

  it('admits nothing but the token itself', () => {
    fc.assert(
      fc.property(fc.string(), (sent) => {
        fc.pre(sent !== token);
        expect(() => admit(plain('10.0.0.1', `Bearer ${sent}`), closed)).toThrow();
        expect(() => admit(plain('10.0.0.1', sent), closed)).toThrow();
      }),
    );
  });

  it('counts the certificate alone on the mTLS listener', () => {
    expect(admit({ listener: 'mtls', identity: 'canary' }, closed)).toEqual({
      ...{ transport: 'mtls', identity: 'canary', client: 'canary' },
    });
    const nameless: Visitor = { listener: 'mtls', identity: undefined };
    expect(() => admit(nameless, { token, disabled: true })).toThrow(/names no identity/);
  });

  it.each([
    ['sanctum-server', '127.0.0.1', 'sanctum-server/127.0.0.1'],
    ['sanctum-server', 'canary', 'sanctum-server/canary'],
    ['sanctum-server', undefined, 'sanctum-server'],
    ['sanctum-server', 'a b', 'sanctum-server'],
    ['sanctum-server', 'x'.repeat(129), 'sanctum-server'],
    ['canary', '127.0.0.1', 'canary'],
  ])('gives %s on behalf of %p the turn of %s', (identity, onBehalfOf, client) => {
    expect(admit({ listener: 'mtls', identity, onBehalfOf }, closed).client).toBe(client);
  });

  it('lets everybody in when it is switched off', () => {
    expect(admit(plain('10.0.0.1'), { token, disabled: true }).transport).toBe('auth-disabled');
  });
});

describe('readToken', () => {
  let root: string;

  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'sanctum-token-'));
  });

  afterAll(() => {
    rmSync(root, { recursive: true });
  });

  function file(text: string, mode: number): string {
    const path = join(root, `t${Math.random()}`);
    writeFileSync(path, text);
    // Whatever the umask is.
    chmodSync(path, mode);
    return path;
  }

  it('reads one token and forgives its line end', () => {
    expect(readToken({ path: file(`${token}\n`, 0o600), named: true })).toBe(token);
  });

  it('does without a file found by convention, never without a named one', () => {
    expect(readToken(undefined)).toBeUndefined();
    expect(readToken({ path: '/nowhere', named: false })).toBeUndefined();
    expect(() => readToken({ path: '/nowhere', named: true })).toThrow(/\/nowhere cannot be read/);
  });

  it.each([
    ['for others to read', { text: token, mode: 0o644 }, /chmod 600/],
    ['too short', { text: 'short', mode: 0o600 }, /16 to 512/],
    ['two lines', { text: `${token}\n${token}`, mode: 0o600 }, /16 to 512/],
    ['empty', { text: '', mode: 0o600 }, /16 to 512/],
    ['huge', { text: 'a'.repeat(2000), mode: 0o600 }, /too large/],
  ])('refuses a token that is %s', (_what, { text, mode }, message) => {
    expect(() => readToken({ path: file(text, mode), named: false })).toThrow(message);
  });
});
