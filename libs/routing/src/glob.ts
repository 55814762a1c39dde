/** Whether a declared model name is a pattern rather than a name. */
export function isGlob(pattern: string): boolean {
  return pattern.includes('*') || pattern.includes('?');
}

/** Characters of a pattern that are not wildcards: the more, the more specific it is. */
export function literalLength(pattern: string): number {
  let count = 0;
  for (const character of pattern) {
    count += character === '*' || character === '?' ? 0 : 1;
  }
  return count;
}

/**
 * `*` stands for any run of characters, `?` for one. Linear space and O(name × pattern) time, with
 * one remembered star, so that no pattern can make a request slow.
 */
export function matchesGlob(pattern: string, name: string): boolean {
  let at = 0;
  let inName = 0;
  let star = -1;
  let afterStar = 0;
  while (inName < name.length) {
    if (pattern[at] === '*') {
      star = at++;
      afterStar = inName;
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === name[inName])) {
      at++;
      inName++;
    } else if (star >= 0) {
      at = star + 1;
      inName = ++afterStar;
    } else {
      return false;
    }
  }
  while (pattern[at] === '*') at++;
  return at === pattern.length;
}
