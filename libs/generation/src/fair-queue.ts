/** First come, first served within a client; clients take turns. */
export class FairQueue<Item extends { readonly client: string }> {
  /** Insertion order is the order of turns; no list is empty. */
  readonly #byClient = new Map<string, Item[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: Item): void {
    const items = this.#byClient.get(item.client);
    if (items === undefined) this.#byClient.set(item.client, [item]);
    else items.push(item);
    this.#size += 1;
  }

  /** Whose turn it is, left in place. */
  peek(): Item | undefined {
    const [items] = this.#byClient.values();
    return items?.[0];
  }

  /** Takes out whose turn it is; its client goes to the end of the round. */
  shift(): Item | undefined {
    const [turn] = this.#byClient;
    if (turn === undefined) return undefined;
    const [client, items] = turn;
    const item = items.shift();
    this.#byClient.delete(client);
    if (items.length > 0) this.#byClient.set(client, items);
    this.#size -= 1;
    return item;
  }

  /** Takes one item out of turn; its client keeps its place in the round. */
  remove(item: Item): boolean {
    const items = this.#byClient.get(item.client);
    const at = items?.indexOf(item) ?? -1;
    if (items === undefined || at === -1) return false;
    items.splice(at, 1);
    if (items.length === 0) this.#byClient.delete(item.client);
    this.#size -= 1;
    return true;
  }
}
