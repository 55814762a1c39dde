export { identityUri, parseIdentityUri, type ServiceIdentity } from './service-identity.js';
export { initPki, type InitPkiOptions, type InitPkiReport } from './init.js';
export {
  issueCertificate,
  LEAF_DAYS_DEFAULT,
  LEAF_DAYS_MAX,
  type IssueClientOptions,
  type IssueOptions,
  type IssueServerOptions,
} from './issue.js';
export {
  describeCertificate,
  listCertificates,
  verifyCertificate,
  type CertificateFault,
  type CertificateInfo,
  type CertificateKind,
  type CertificateVerdict,
  type VerifyOptions,
} from './inspect.js';
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
} from './tls.js';
