import { createHash, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { exportBundle, importBundle, type ModelStatement } from './oms-bundle.js';

const fixture = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../fixtures/oms/${name}`, import.meta.url)), 'utf8');

const TINY: ModelStatement = {
  model: 'tiny',
  entries: ['config.json', 'model.safetensors', 'nested/vocab.txt'].map((path) => ({
    path,
    digest: createHash('sha256')
      .update(fixture(`tiny/${path}`))
      .digest('hex'),
  })),
};

interface Bundle {
  mediaType: string;
  dsseEnvelope: { payload: string; signatures: object[] };
}

function pair(namedCurve: string): { privateKey: string; publicKey: string } {
  return generateKeyPairSync('ec', {
    namedCurve,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}

/** A bundle of padded files under a new key, with its payload or envelope changed after signing. */
function tampered(change: (bundle: Bundle) => void): { text: string; publicKey: string } {
  const { privateKey, publicKey } = pair('prime256v1');
  const bundle = JSON.parse(exportBundle(TINY, privateKey)) as Bundle;
  change(bundle);
  return { text: JSON.stringify(bundle), publicKey };
}

describe('Model Signing bundles', () => {
  it.each(['p256', 'p384', 'p521'])('made by the model-signing package are read: %s', (curve) => {
    const bundle = fixture(`${curve}.bundle.json`);
    expect(importBundle(bundle, fixture(`${curve}.pub.pem`), 'b')).toEqual(TINY);
  });

  it('are the ones that the model-signing package verified', () => {
    const exported = fixture('exported.bundle.json');
    expect(importBundle(exported, fixture('exported.pub.pem'), 'b')).toEqual(TINY);
  });

  it.each(['prime256v1', 'secp384r1', 'secp521r1'])('survive a round trip on %s', (curve) => {
    const { privateKey, publicKey } = pair(curve);
    expect(importBundle(exportBundle(TINY, privateKey), publicKey, 'b')).toEqual(TINY);
  });

  it('carry the fields of the one the package makes', () => {
    const { privateKey } = pair('prime256v1');
    const shape = (text: string) => {
      const bundle = JSON.parse(text) as Bundle;
      const statement = JSON.parse(atob(bundle.dsseEnvelope.payload)) as {
        predicate: { serialization: { ignore_paths?: unknown } };
      };
      delete statement.predicate.serialization.ignore_paths;
      return { ...bundle, verificationMaterial: {}, dsseEnvelope: {}, statement };
    };
    const theirs = shape(fixture('p256.bundle.json'));
    expect(shape(exportBundle(TINY, privateKey))).toEqual(theirs);
  });

  it.each([
    [
      'another key',
      () => ({ ...tampered(() => undefined), ...{ publicKey: pair('prime256v1').publicKey } }),
      /names another key/,
    ],
    ['a changed payload', () => tampered(swapPayload), /was changed, or signed by someone else/],
    [
      'another media type',
      () => tampered((bundle) => (bundle.mediaType = 'x')),
      /unexpected mediaType/,
    ],
    [
      'no signature',
      () => tampered((bundle) => (bundle.dsseEnvelope.signatures = [])),
      /unexpected dsseEnvelope\.signatures/,
    ],
    [
      'two signatures',
      () => tampered(({ dsseEnvelope: { signatures } }) => signatures.push(...signatures)),
      /is not one signed/,
    ],
  ])('are refused with %s', (_what, make, message) => {
    const { text, publicKey } = make();
    expect(() => importBundle(text, publicKey, 'b.json')).toThrow(message);
  });

  it.each([
    ['a climbing path', { path: '../x' }, /"\.\.\/x", which climbs/],
    ['a repeated path', { path: 'config.json' }, /"config\.json", which is listed twice/],
    ['a short digest', { digest: 'ab' }, /unexpected predicate\.resources\.0\.digest/],
  ])('are refused with %s, though signed', (_what, change, message) => {
    const { privateKey, publicKey } = pair('prime256v1');
    const entry = { path: 'a', digest: '0'.repeat(64), ...change };
    const text = exportBundle({ model: 'tiny', entries: [entry, ...TINY.entries] }, privateKey);
    expect(() => importBundle(text, publicKey, 'b.json')).toThrow(message);
  });

  it('take no other kind of key', () => {
    const ed25519 = generateKeyPairSync('ed25519', {
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    expect(() => exportBundle(TINY, ed25519.privateKey)).toThrow(/is no elliptic-curve key/);
    expect(() => exportBundle(TINY, 'nothing')).toThrow(/private key is no PEM key/);
    const bundle = fixture('p256.bundle.json');
    expect(() => importBundle(bundle, pair('secp256k1').publicKey, 'b')).toThrow(/another key/);
    expect(() => importBundle('{', fixture('p256.pub.pem'), 'b.json')).toThrow(
      /b\.json is not JSON/,
    );
  });
});

function swapPayload({ dsseEnvelope }: Bundle): void {
  const payload = atob(dsseEnvelope.payload).replace('config.json', 'config.jsom');
  dsseEnvelope.payload = btoa(payload);
}
