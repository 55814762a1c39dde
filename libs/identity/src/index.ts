export { untilTakenOver } from './ask-holders.js';
export {
  CertificateHolder,
  HOLDER_SILENCE_MAX_MS,
  type CertificateHolderOptions,
} from './certificate-holder.js';
export { identityUri, parseIdentityUri, type ServiceIdentity } from './service-identity.js';
export { initPki, type InitPkiOptions, type InitPkiReport } from './init.js';
export {
  issueCertificate,
  LEAF_DAYS_DEFAULT,
  LEAF_DAYS_MAX,
  type Announce,
  type IssueClientOptions,
  type IssueOptions,
  type IssueServerOptions,
} from './issue.js';
export {
  describeCertificate,
  isIssuedBy,
  listCertificates,
  verifyCertificate,
  type CertificateFault,
  type CertificateInfo,
  type CertificateKind,
  type CertificateVerdict,
  type VerifyOptions,
} from './inspect.js';
export { readLedger, type IssuedCertificate, type Ledger } from './ledger.js';
export { LiveTls, type LiveTlsOptions } from './live-tls.js';
export { crlPathOf, pkiFiles, type PkiFiles } from './pki-files.js';
export { renewCertificates, type RenewOptions, type RenewReport } from './renew.js';
export { renewalDueAt } from './renewal.js';
export { readRevocationList, type RevocationList } from './revocation-list.js';
export {
  acceptedGenerations,
  revokeCertificates,
  type RevokeOptions,
  type RevokeReport,
} from './revoke.js';
export {
  dropOldAuthority,
  rolloverStatus,
  signWithNextAuthority,
  trustNextAuthority,
  type RolloverPhase,
  type RolloverStatus,
} from './rollover.js';
export {
  clientTlsOptions,
  peerIdentity,
  readTlsFiles,
  serverTlsOptions,
  type ClientTlsOptions,
  type PeerIdentity,
  type ServerTlsOptions,
  type TlsMaterial,
  type TlsPaths,
  type TlsTexts,
} from './tls.js';
export {
  WATCH_POLL_MS,
  watchFiles,
  type FileWatch,
  type WatchFilesOptions,
} from './watch-files.js';
export {
  migrationReport,
  WATCHED_DAYS,
  type BearerVerdict,
  type MigrationReport,
  type MigrationRow,
} from './migration.js';
export {
  readTransportRecord,
  TransportCounts,
  type CountedTransport,
  type Hit,
  type TransportCountsOptions,
  type TransportRecord,
} from './transport-counts.js';
export { signRequest, type SignedRequest, type SignRequestOptions } from './sign-request.js';
