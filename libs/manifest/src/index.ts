export {
  formatManifest,
  MANIFEST_BYTES_MAX,
  MANIFEST_ENTRIES_MAX,
  MANIFEST_PATH_BYTES_MAX,
  parseManifest,
  type Manifest,
  type ManifestEntry,
  type ManifestHeader,
} from './manifest-text.js';
export {
  generateSigningKeys,
  keyIdOf,
  PUBLIC_KEY_BYTES,
  PUBLIC_KEYS_MAX,
  publicKeyOf,
  SIGNATURE_BYTES,
  signManifest,
  verifySignature,
  type SigningKeys,
  type TrustedKey,
} from './signature.js';
export { type OpenFile } from './model-files.js';
export { type HashOptions, type HashProgress } from './hash-files.js';
export {
  openVerified,
  readSignedManifest,
  type ManifestFiles,
  type OpenVerifiedOptions,
  type SignedManifest,
  type VerifiedModel,
} from './open-verified.js';
export {
  composeManifest,
  readSigningKey,
  signManifestFile,
  writeSigningKeys,
} from './write-manifest.js';
export { readKeyRing, revokedName, type KeyRing, type RevokedKey } from './key-ring.js';
export {
  EXCEPTION_DAYS_MAX,
  exceptionFile,
  readException,
  writeException,
  type RollbackException,
  type SignedException,
} from './rollback-exception.js';
export {
  judgeCandidate,
  servedFloor,
  type Candidate,
  type ServedRecord,
  type TrustAlert,
  type TrustAlertKind,
  type TrustPolicy,
} from './trust-policy.js';
export {
  SERVED_DIGESTS_MAX,
  SERVED_MODELS_MAX,
  TrustState,
  type TrustStateFiles,
} from './trust-state.js';
export { exportBundle, importBundle, type ModelStatement } from './oms-bundle.js';
export { assertFolderHolds, type ProofOptions } from './prove-files.js';
