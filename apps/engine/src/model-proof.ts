import { messageOf, SanctumError } from '@sanctum/errors';
import { openVerified, TrustState, type VerifiedModel } from '@sanctum/manifest';
import { ServiceAudit, type RunningService } from '@sanctum/service-kit';
import type { Logger } from 'pino';
import type { EngineSettings } from './settings/settings.js';

/** Progress is logged each time another share of the bytes is hashed, in percent. */
const PROGRESS_STEP_PERCENT = 10;

interface ProofParts {
  readonly settings: EngineSettings;
  readonly logger: Logger;
  readonly audit: ServiceAudit | undefined;
}

/** The engine's chain; without a home there is no place for one. */
export async function openAudit(
  { home, instance }: EngineSettings,
  logger: Logger,
): Promise<ServiceAudit | undefined> {
  if (home === undefined) return undefined;
  return ServiceAudit.open({ home, service: 'engine', instance, logger });
}

/**
 * Verifies the model and writes the verdict down before anything acts on it. Throws
 * `manifest_refused`, or `io` when the audit does not take the verdict.
 */
export async function proveModel(parts: ProofParts): Promise<VerifiedModel> {
  const { settings, logger, audit } = parts;
  const { dir } = settings.model;
  let verified: VerifiedModel;
  try {
    verified = await verifyModel(parts);
  } catch (error) {
    const code = error instanceof SanctumError ? error.code : 'internal';
    await audit?.decide('model_refused', { dir, code, reason: messageOf(error) });
    throw error;
  }
  const { digest, keyId, header, alerts } = verified;
  const proof = { dir, digest, keyId, ...header, files: verified.files.length };
  logger.info(proof, 'model_verified');
  await audit?.decide('model_verified', proof);
  for (const { kind, message } of alerts) {
    logger.warn({ kind }, message);
    await audit?.decide('manifest_alert', { kind, digest, message });
  }
  return verified;
}

/** From now on this machine has served it: an older version will be refused. */
export async function recordServed(
  verified: VerifiedModel,
  audit: ServiceAudit | undefined,
): Promise<void> {
  verified.recordServed();
  const { digest, keyId, header } = verified;
  await audit?.decide('model_served', { digest, keyId, ...header });
}

/** What was let pass with a warning reaches a person. */
export function publishAlerts(
  verified: VerifiedModel,
  model: { readonly id: string },
  { bus }: Pick<RunningService, 'bus'>,
): void {
  for (const { kind, message } of verified.alerts) {
    bus?.publishEvent('sanctum.incident.manifest-alert', {
      kind,
      model: model.id,
      digest: verified.digest,
      message,
    });
  }
}

async function verifyModel({ settings, logger, audit }: ProofParts): Promise<VerifiedModel> {
  const { dir, trust, requireHeader } = settings.model;
  const { home } = settings;
  const state = home === undefined ? undefined : TrustState.open(home);
  if (state?.isNew === true) await assertNeverServed(audit);
  let reportedPercent = 0;
  return openVerified({
    dir,
    ...trust,
    requireHeader,
    ...(state && { trust: state }),
    onProgress: ({ hashedBytes, totalBytes, name }) => {
      const share = hashedBytes / Math.max(1, totalBytes);
      const percent = Math.floor((share * 100) / PROGRESS_STEP_PERCENT) * PROGRESS_STEP_PERCENT;
      if (percent <= reportedPercent) return;
      reportedPercent = percent;
      logger.info({ percent, file: name }, 'verifying');
    },
  });
}

/** Both files of the memory may be gone at once; the audit still knows that there was one. */
async function assertNeverServed(audit: ServiceAudit | undefined): Promise<void> {
  const served = await audit?.lastOf('model_served');
  if (served === undefined) return;
  throw new SanctumError(
    'manifest_refused',
    `The audit says that this machine served a model on ${served.at}, but what it served is ` +
      'forgotten: state/manifest-trust.json and secrets/manifest-trust.key are gone. Restore both ' +
      'from a backup, or, if you know why, run "sanctumctl model trust --reset".',
  );
}
