/**
 * One name for a tensor whichever layout wrote it: `layers.0.mlp.up_proj.weight`, `norm.weight`,
 * `embed_tokens.weight`, `lm_head.weight`.
 */
export type PlainName =
  | { readonly kind: 'text'; readonly name: string }
  /** Vision tower or multi-token prediction: not part of the language model. */
  | { readonly kind: 'skipped' }
  | { readonly kind: 'unknown' };

const SKIPPED = /^(?:model\.)?(?:visual|vision_tower|mtp)\.|^language_model\.(?:model\.)?mtp\./;
/** Longest first: MLX-converted, nested and flat Hugging Face, and heads beside the body. */
const BODY_PREFIXES = ['language_model.model.', 'model.language_model.', 'model.'];
const HEAD = /^(?:language_model\.)?(lm_head\..+)$/;

export function plainName(stored: string): PlainName {
  if (SKIPPED.test(stored)) return { kind: 'skipped' };
  const head = HEAD.exec(stored)?.[1];
  if (head !== undefined) return { kind: 'text', name: head };
  const prefix = BODY_PREFIXES.find((candidate) => stored.startsWith(candidate));
  if (prefix === undefined) return { kind: 'unknown' };
  return { kind: 'text', name: stored.slice(prefix.length) };
}
