import { parseJson, tokenText } from './tokenizer-json.js';
import type { Tokenizer } from './tokenizer.js';

/**
 * Id of the `eos_token` that the texts of `tokenizer_config.json` or `special_tokens_map.json` name,
 * the first winning; undefined when neither names a token of this tokenizer. Throws `model_invalid`
 * for a file that holds no JSON object.
 */
export function endOfSequenceId(
  tokenizer: Tokenizer,
  files: { readonly config?: string | undefined; readonly specialTokensMap?: string | undefined },
): number | undefined {
  const config = parseJson(files.config ?? '{}', 'tokenizer_config.json');
  const map = parseJson(files.specialTokensMap ?? '{}', 'special_tokens_map.json');
  const content = tokenText(config['eos_token']) ?? tokenText(map['eos_token']);
  return content === undefined ? undefined : tokenizer.idOf(content);
}
