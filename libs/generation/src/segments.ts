/** Characters encoded in one go, unless no seam is found near. */
export const SEGMENT_CHARS = 2048;

/**
 * Cuts text where byte-level pre-tokenizers always cut: before a single space that follows a
 * non-space (their patterns take a space only at the start of a piece, and look ahead only within
 * white space). The pieces together then give the tokens of the whole. A run of more than
 * `segmentChars` without such a seam is cut hard, though never inside a character or an added
 * token: still a faithful encoding of the text, with bounded work, though one seam of it may differ
 * from the reference's.
 */
export function* segments(
  text: string,
  addedTokens: readonly string[],
  segmentChars: number = SEGMENT_CHARS,
): Generator<string, void> {
  let from = 0;
  while (text.length - from > segmentChars) {
    const to =
      seam(text, from, from + segmentChars) ?? hardCut(text, from + segmentChars, addedTokens);
    yield text.slice(from, to);
    from = to;
  }
  if (from < text.length) yield text.slice(from);
}

/** The last seam in (from, to], or undefined. */
function seam(text: string, from: number, to: number): number | undefined {
  for (let at = to; at > from; at -= 1) {
    if (text[at] === ' ' && !/\s/u.test(text.charAt(at - 1))) return at;
  }
  return undefined;
}

function hardCut(text: string, at: number, addedTokens: readonly string[]): number {
  for (const token of addedTokens) {
    const start = text
      .slice(Math.max(0, at - token.length + 1), at + token.length - 1)
      .indexOf(token);
    if (start !== -1) return Math.max(0, at - token.length + 1) + start + token.length;
  }
  const unit = text.charCodeAt(at);
  return unit >= 0xdc00 && unit <= 0xdfff ? at + 1 : at;
}
