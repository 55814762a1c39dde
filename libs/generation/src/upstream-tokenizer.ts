import { Tokenizer } from '@huggingface/tokenizers';

/** The part of @huggingface/tokenizers that is used here. */
export interface UpstreamTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  id_to_token(id: number): string | undefined;
  token_to_id(token: string): number | undefined;
}

/**
 * Deviation: the declarations of 0.2.0 import each other without file extensions, which nodenext
 * does not resolve, so the class arrives untyped.
 */
export const UpstreamTokenizer = Tokenizer as unknown as new (
  file: object,
  config: object,
) => UpstreamTokenizer;
