/**
 * GPT-2's map of bytes to printable characters, which byte-level BPE vocabularies are written in:
 * a byte that prints stands for itself, the others take U+0100 and up in order.
 */
export const BYTE_OF_SYMBOL: ReadonlyMap<string, number> = byteOfSymbol();

function byteOfSymbol(): Map<string, number> {
  const map = new Map<string, number>();
  let replaced = 0;
  for (let byte = 0; byte < 256; byte += 1) {
    map.set(String.fromCharCode(printsAsItself(byte) ? byte : 0x100 + replaced++), byte);
  }
  return map;
}

function printsAsItself(byte: number): boolean {
  return (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
}
