import { listChains, verifyChains } from '@sanctum/audit';
import type { Site } from '../instance/site.js';
import { fail, ok, type Finding } from './check.js';

/** Every link and anchor of every chain; `quick` counts them alone. */
export async function checkAudit({ paths }: Site, quick: boolean): Promise<Finding> {
  const count = listChains(paths.audit).length;
  if (quick) return ok('audit', `${count} chains, not verified`);
  const reports = await verifyChains(paths.audit);
  const wrong = reports.find(({ broken }) => broken !== undefined);
  if (wrong?.broken === undefined) return ok('audit', `${count} chains, every link holds`);
  const { file, line, reason } = wrong.broken;
  return fail(
    'audit',
    `${file}${line === 0 ? '' : `:${line}`} ${reason}`,
    'Somebody changed it, or the disk did: keep a copy, and compare with a backup.',
  );
}
