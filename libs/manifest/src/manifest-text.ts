import { SanctumError } from '@sanctum/errors';

export const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;
export const MANIFEST_ENTRIES_MAX = 16_384;
export const MANIFEST_PATH_BYTES_MAX = 1024;

/** What the comment lines of a manifest say; every field is optional. */
export interface ManifestHeader {
  /** `# sanctum-model: padawan` */
  readonly model?: string;
  /** `# sanctum-version: 3`, counting up */
  readonly version?: number;
  /** `# sanctum-expires: 2027-01-31T00:00:00Z` */
  readonly expires?: Date;
  /** `# sanctum-key-id: 0123456789abcdef`, see {@link keyIdOf} */
  readonly keyId?: string;
}

export interface ManifestEntry {
  /** Relative to the model's folder, with `/` between segments. */
  readonly path: string;
  /** SHA-256, 64 lower-case hexadecimal digits. */
  readonly digest: string;
}

export interface Manifest {
  readonly header: ManifestHeader;
  readonly entries: readonly ManifestEntry[];
}

const ENTRY = /^(?<digest>[0-9a-f]{64}) [ *](?<path>.+)$/;
const HEADER = /^# sanctum-(?<name>[a-z-]+): (?<value>\S(?:.*\S)?)$/;
const HEADER_LIKE = /^#\s*sanctum-/;
const MODEL = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/;

/**
 * Reads the text of a manifest: `sha256sum` lines, `# sanctum-…` comments, other comments.
 * Throws `manifest_refused` naming `source` and the line: bad syntax, an unknown `sanctum-` comment,
 * an unsafe or repeated path, nothing listed, over a limit.
 */
export function parseManifest(bytes: Uint8Array, source: string): Manifest {
  if (bytes.length > MANIFEST_BYTES_MAX) {
    throw refused(source, `is larger than ${MANIFEST_BYTES_MAX} bytes`);
  }
  const lines = decode(bytes, source).split('\n');
  if (lines.pop() !== '') throw refused(source, 'does not end with a line feed: it may be cut off');
  const entries: ManifestEntry[] = [];
  const seen = new Set<string>();
  let header: ManifestHeader = {};
  for (const [index, line] of lines.entries()) {
    const at = `${source}:${index + 1}`;
    if (line.startsWith('#')) {
      header = withComment(header, line, at);
      continue;
    }
    const entry = parseEntry(line, at);
    if (seen.has(entry.path)) throw refused(at, `lists ${entry.path} a second time`, entry.path);
    seen.add(entry.path);
    entries.push(entry);
    if (entries.length > MANIFEST_ENTRIES_MAX) {
      throw refused(at, `is one file too many: at most ${MANIFEST_ENTRIES_MAX} may be listed`);
    }
  }
  if (entries.length === 0) throw refused(source, 'lists no file');
  return { header, entries };
}

/** The text that {@link parseManifest} reads back; entries come out sorted by path. */
export function formatManifest(manifest: Manifest): string {
  const { model, version, expires, keyId } = manifest.header;
  const comments = {
    model,
    version,
    expires: expires?.toISOString(),
    'key-id': keyId,
  };
  const lines = Object.entries(comments)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `# sanctum-${name}: ${value}`);
  const entries = [...manifest.entries].sort((a, b) =>
    a.path < b.path ? -1 : Number(a.path > b.path),
  );
  return [...lines, ...entries.map(({ digest, path }) => `${digest}  ${path}`), ''].join('\n');
}

/** Why a path may not stand in a manifest, or undefined when it may. */
export function pathFault(path: string): string | undefined {
  if (Buffer.byteLength(path) > MANIFEST_PATH_BYTES_MAX) {
    return `is longer than ${MANIFEST_PATH_BYTES_MAX} bytes`;
  }
  if (path.startsWith('/') || /^[A-Za-z]:/.test(path)) return 'is absolute';
  if (/[\p{Cc}\\]/u.test(path)) return 'holds a control character or backslash';
  const segments = path.split('/');
  if (segments.includes('..')) return 'climbs out of the folder with ".."';
  if (segments.some((segment) => segment === '' || segment === '.')) {
    return 'has an empty or "." segment';
  }
  return undefined;
}

function decode(bytes: Uint8Array, source: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new SanctumError('manifest_refused', `${source} is not UTF-8 text.`, {
      cause: error,
      param: source,
    });
  }
}

function parseEntry(line: string, at: string): ManifestEntry {
  const { digest, path } = ENTRY.exec(line)?.groups ?? {};
  if (digest === undefined || path === undefined) {
    throw refused(at, 'is not "<64 hex digits>  <path>" as sha256sum writes it');
  }
  const fault = pathFault(path);
  if (fault !== undefined) throw refused(at, `lists ${JSON.stringify(path)}, which ${fault}`, path);
  return { path, digest };
}

function withComment(header: ManifestHeader, line: string, at: string): ManifestHeader {
  if (!HEADER_LIKE.test(line)) return header;
  const { name = '', value = '' } = HEADER.exec(line)?.groups ?? {};
  const [field, parsed] = parseField(name, value);
  if (field === undefined || parsed === undefined) {
    throw refused(at, `is not a known comment: ${JSON.stringify(line.slice(0, 80))}`);
  }
  if (header[field] !== undefined) throw refused(at, `repeats sanctum-${name}`);
  return { ...header, [field]: parsed };
}

type Field = readonly [keyof ManifestHeader, string | number | Date | undefined];

function parseField(name: string, value: string): Field | readonly [undefined, undefined] {
  switch (name) {
    case 'model':
      return ['model', MODEL.test(value) ? value : undefined];
    case 'version':
      return ['version', /^[1-9]\d{0,8}$/.test(value) ? Number(value) : undefined];
    case 'expires':
      return ['expires', parseInstant(value)];
    case 'key-id':
      return ['keyId', /^[0-9a-f]{16}$/.test(value) ? value : undefined];
    default:
      return [undefined, undefined];
  }
}

function parseInstant(value: string): Date | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z$/.test(value)) return undefined;
  const instant = new Date(value);
  return Number.isNaN(instant.getTime()) ? undefined : instant;
}

function refused(at: string, what: string, param = at): SanctumError {
  return new SanctumError('manifest_refused', `${at} ${what}.`, { param });
}
