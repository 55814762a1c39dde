import { describe, expect, it } from '@jest/globals';
import { modelTrustFiles } from './model-trust.js';

describe('modelTrustFiles', () => {
  it('looks beside the folder', () => {
    const manifest = { public_keys: [], require_header: false };
    expect(modelTrustFiles({ model: '/models/padawan/', manifest })).toEqual({
      manifest: '/models/padawan.manifest.sha256',
      signature: '/models/padawan.manifest.sha256.sig',
      publicKeys: ['/models/manifest-pubkey.ed25519'],
    });
  });

  it('takes what is named', () => {
    const manifest = { file: '/a', public_keys: ['/k'], require_header: true };
    expect(modelTrustFiles({ model: '/m', manifest })).toEqual({
      manifest: '/a',
      signature: '/a.sig',
      publicKeys: ['/k'],
    });
  });
});
