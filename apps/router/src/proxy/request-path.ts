import { DIALECT_PATHS } from '@sanctum/contracts';

const CONVERSATIONS: ReadonlySet<string> = new Set(Object.values(DIALECT_PATHS));

/** Paths that take what was said so far and answer with the next turn. */
export function isConversation(path: string): boolean {
  return CONVERSATIONS.has(path);
}

/** Paths whose bodies and streams the router understands. */
export function isInterpreted(path: string): boolean {
  return path === '/completions' || isConversation(path);
}

const ROUTED_BY_MODEL: ReadonlySet<string> = new Set(['/embeddings', '/messages/count_tokens']);

/** Elsewhere a JSON body is none of the router's business. */
export function namesModel(path: string): boolean {
  return isInterpreted(path) || ROUTED_BY_MODEL.has(path) || path.startsWith('/audio/');
}

/** A target without its query. */
export function pathOf(target: string): string {
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}

/** Letters, digits and `-._~` (RFC 3986, 2.3), which nobody has to encode, or no encoding at all. */
const NEEDLESS_ENCODING = /%(?:2[de]|3\d|4[1-9a-f]|5[\daf]|6[1-9a-f]|7[\dae]|(?![\da-f]{2}))/i;

/**
 * What follows `/v1` in a request target, query included; undefined when it is not below `/v1/`,
 * could be read as leaving it (dot segments, also with parameters, and backslashes), or has
 * characters percent-encoded that need not be.
 */
export function pathBelowV1(target: string): string | undefined {
  if (!target.startsWith('/v1/')) return undefined;
  const path = pathOf(target);
  const isEncoded = path.includes('%');
  if (isEncoded && NEEDLESS_ENCODING.test(path)) return undefined;
  const plain = isEncoded ? path.replace(/%(2f|5c)/gi, '/') : path;
  if (plain.includes('/.') && /\/\.{1,2}([/;]|$)/.test(plain)) return undefined;
  return plain.includes('\\') || plain.includes('//') ? undefined : target.slice(3);
}

/**
 * Whether a path below `/v1` is none that names a model, and a server that is less exact would take
 * it for one: what is not read here would reach an upstream past choice, budgets and detectors.
 */
export function isLookAlike(path: string): boolean {
  return !namesModel(path) && namesModel(asReadLoosely(path));
}

/** Decoded, however often it was encoded, without what servers leave out, and in lower case. */
function asReadLoosely(path: string): string {
  const decoded = path.replace(/%(?:25)*([\da-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(parseInt(hex, 16)),
  );
  const [plain = ''] = decoded.split(/[?#\0]/, 1);
  const segments = plain.split(/[/\\]/).map((segment) => segment.replace(/;.*$/s, '').trim());
  return `/${segments.filter((segment) => segment !== '').join('/')}`.toLowerCase();
}
