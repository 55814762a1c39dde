import { createPrivateKey, sign, verify, webcrypto, X509Certificate } from 'node:crypto';
import { messageOf, SanctumError } from '@sanctum/errors';
import { z } from 'zod';
import { exportKey, KEY_ALGORITHM, SIGNING_ALGORITHM } from './authority.js';
import { verifyCertificate } from './inspect.js';
import { identityUri, type ServiceIdentity } from './service-identity.js';
import { x509 } from './x509.js';

/** What a service has: the certificate that it proves itself with. */
export interface PresentPair {
  /** PEM text. */
  readonly cert: string;
  /** PEM text. */
  readonly key: string;
  readonly identity: ServiceIdentity;
}

export interface MadeRequest {
  /** PEM text of the new key. It goes to the service's own files and nowhere else. */
  readonly key: string;
  /** What the job is given. */
  readonly text: string;
}

const envelopeSchema = z.strictObject({
  /** PEM text of a PKCS #10 request, signed by the new key. */
  request: z.string(),
  /** PEM text of the certificate that the identity has now. */
  certificate: z.string(),
  /** By the key of that certificate, over the request; DER in base64. */
  proof: z.string(),
});

/**
 * Makes a key and a request for its certificate: a PKCS #10 request (RFC 2986) with the identity as
 * its only name and the challenge as its challengePassword (RFC 2985), signed by the new key, and a
 * proof of who asks, signed by the present one.
 */
export async function makeRequest(present: PresentPair, challenge: string): Promise<MadeRequest> {
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [present.identity.name] }],
    keys,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: 'url', value: identityUri(present.identity) },
      ]),
    ],
    attributes: [new x509.ChallengePasswordAttribute(challenge)],
  });
  const proof = sign('sha256', Buffer.from(request.rawData), createPrivateKey(present.key));
  const text = JSON.stringify({
    request: request.toString('pem'),
    certificate: present.cert,
    proof: proof.toString('base64'),
  } satisfies z.infer<typeof envelopeSchema>);
  return { key: await exportKey(keys.privateKey), text };
}

export interface RequestCheck {
  /** As it lay in the spool. */
  readonly text: string;
  /** Whose request was asked for. */
  readonly identity: string;
  readonly instance: string;
  readonly challenge: string;
  /** PEM text of the trusted CAs. */
  readonly ca: string;
  readonly revoked: ReadonlySet<string>;
  readonly now: Date;
}

/**
 * The key that a certificate may be signed for. Throws `certificate_invalid` unless the request is
 * signed by that key, answers this challenge, comes from the holder of a valid certificate of the
 * identity, and asks for that identity alone.
 */
export async function checkRequest(check: RequestCheck): Promise<webcrypto.CryptoKey> {
  const { identity, instance, ca, revoked, now } = check;
  const envelope = parseEnvelope(check.text);
  const { request, publicKey } = await provenRequest(envelope.request);
  if (challengeOf(request) !== check.challenge) throw refused('answers another challenge');
  const { info, faults } = verifyCertificate({
    ...{ ca, revoked, now, cert: envelope.certificate },
    ...{ usage: 'client', path: 'the certificate it is proven with' },
  });
  const [fault] = faults;
  if (info?.identity === undefined || fault !== undefined) {
    throw refused(`is not proven: ${fault?.message ?? 'its certificate names nobody'}`);
  }
  const prover = new X509Certificate(envelope.certificate).publicKey;
  const proof = Buffer.from(envelope.proof, 'base64');
  if (!verify('sha256', Buffer.from(request.rawData), prover, proof)) {
    throw refused('is not signed by the key of the certificate it is proven with');
  }
  if (info.identity.name !== identity || info.identity.instance !== instance) {
    throw refused(`comes from ${identityUri(info.identity)}`);
  }
  assertAsksFor(request, identityUri(info.identity));
  const ofProver = prover.export({ type: 'spki', format: 'der' });
  if (ofProver.equals(Buffer.from(request.publicKey.rawData))) throw refused('has no new key');
  return publicKey;
}

/** A request and its key: EC P-256, and the request signed with it. Throws `certificate_invalid`. */
export async function provenRequest(text: string): Promise<{
  readonly request: x509.Pkcs10CertificateRequest;
  readonly publicKey: webcrypto.CryptoKey;
}> {
  let request: x509.Pkcs10CertificateRequest;
  let publicKey: webcrypto.CryptoKey;
  let isProven: boolean;
  try {
    request = new x509.Pkcs10CertificateRequest(text);
    const { rawData } = request.publicKey;
    publicKey = await webcrypto.subtle.importKey('spki', rawData, KEY_ALGORITHM, true, ['verify']);
    isProven = await request.verify();
  } catch (error) {
    throw refused(`cannot be read: ${messageOf(error)}. ${HOW_TO}`, error);
  }
  if (!isProven) throw refused(`was not signed by the key it is for. ${HOW_TO}`);
  return { request, publicKey };
}

const HOW_TO =
  'Make one for an EC P-256 key, for example with ' +
  '`openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256`';

function parseEnvelope(text: string): z.infer<typeof envelopeSchema> {
  try {
    return envelopeSchema.parse(JSON.parse(text));
  } catch (error) {
    throw refused('is no request of a service', error);
  }
}

function challengeOf(request: x509.Pkcs10CertificateRequest): string | undefined {
  const [found, ...more] = request.attributes.filter(
    (attribute) => attribute instanceof x509.ChallengePasswordAttribute,
  );
  return more.length === 0 ? found?.password : undefined;
}

/** One name, and nothing else: what a certificate is good for says the CA. */
function assertAsksFor({ extensions }: x509.Pkcs10CertificateRequest, uri: string): void {
  const [extension, ...more] = extensions;
  const names =
    extension instanceof x509.SubjectAlternativeNameExtension ? extension.names.items : [];
  const [name, ...others] = names;
  const isSole = more.length === 0 && others.length === 0;
  if (isSole && name?.type === 'url' && name.value === uri) return;
  const asked = names.map(({ value }) => value).join(', ');
  throw refused(
    more.length > 0
      ? 'asks for more than a name'
      : `asks for ${asked === '' ? 'no name' : asked}, and ${uri} alone may be asked for`,
  );
}

function refused(said: string, cause?: unknown): SanctumError {
  return new SanctumError('certificate_invalid', `The certificate request ${said}.`, { cause });
}
