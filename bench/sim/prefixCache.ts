// Each node's prefix cache: full blocks of 512 tokens that outlive their sequence until the memory is needed, least recently used first.
import { BLOCK_TOKENS } from "./trace.ts";

/** Which nodes hold a block, kept current by all caches; what an exact indexer of KV events would know. */
export class PrefixIndex {
  readonly #holders = new Map<number, Set<number>>();

  add(block: number, node: number): void {
    const holders = this.#holders.get(block);
    if (holders) holders.add(node);
    else this.#holders.set(block, new Set([node]));
  }

  remove(block: number, node: number): void {
    const holders = this.#holders.get(block);
    holders?.delete(node);
    if (holders?.size === 0) this.#holders.delete(block);
  }

  /**
   * Writes for each node how many tokens of the prompt it holds as a prefix.
   * @param out one entry per node; zeroed first
   */
  cachedTokens(blocks: Int32Array | null, blockOffset: number, out: Int32Array): void {
    out.fill(0);
    if (blocks === null) return;
    let holders: Iterable<number> = [];
    for (let depth = 0; depth < blocks.length; depth++) {
      const here = this.#holders.get(blocks[depth]! + blockOffset);
      if (!here) return;
      const still: number[] = [];
      for (const node of depth === 0 ? here : holders) if (depth === 0 || here.has(node)) still.push(node);
      if (still.length === 0) return;
      for (const node of still) out[node] = (depth + 1) * BLOCK_TOKENS;
      holders = still;
    }
  }

  /** The same for one node. */
  cachedTokensOn(blocks: Int32Array | null, blockOffset: number, node: number): number {
    let depth = 0;
    while (blocks !== null && depth < blocks.length && this.#holders.get(blocks[depth]! + blockOffset)?.has(node)) depth++;
    return depth * BLOCK_TOKENS;
  }
}

/** Blocks in use by running sequences are counted once, whoever shares them; idle ones lie in the order in which they would go. */
export class PrefixCache {
  readonly #node: number;
  readonly #index: PrefixIndex;
  readonly #users = new Map<number, number>();
  /** Insertion order is the order of eviction. */
  readonly #idle = new Set<number>();

  constructor(node: number, index: PrefixIndex) {
    this.#node = node;
    this.#index = index;
  }

  get usedTokens(): number {
    return this.#users.size * BLOCK_TOKENS;
  }

  get idleTokens(): number {
    return this.#idle.size * BLOCK_TOKENS;
  }

  /** @returns how many leading blocks are here */
  depth(blocks: Int32Array | null, offset: number): number {
    if (blocks === null) return 0;
    let depth = 0;
    while (depth < blocks.length && this.#has(blocks[depth]! + offset)) depth++;
    return depth;
  }

  /** @returns tokens that using the first `depth` blocks would turn from idle to used */
  idleTokensAmong(blocks: Int32Array | null, offset: number, depth: number): number {
    let idle = 0;
    for (let i = 0; i < depth; i++) if (this.#idle.has(blocks![i]! + offset)) idle += BLOCK_TOKENS;
    return idle;
  }

  /** Takes a block that is here. */
  use(block: number): void {
    this.#idle.delete(block);
    this.#users.set(block, (this.#users.get(block) ?? 0) + 1);
  }

  /** @returns false where another sequence has put the same block in meanwhile: then this one's copy stays its own */
  insert(block: number): boolean {
    if (this.#has(block)) return false;
    this.#users.set(block, 1);
    this.#index.add(block, this.#node);
    return true;
  }

  release(block: number): void {
    const users = this.#users.get(block)! - 1;
    if (users > 0) return void this.#users.set(block, users);
    this.#users.delete(block);
    this.#idle.add(block);
  }

  /** Drops idle blocks until at most so many tokens of them are left. */
  shrinkIdle(tokens: number): void {
    for (const block of this.#idle) {
      if (this.idleTokens <= tokens) return;
      this.#idle.delete(block);
      this.#index.remove(block, this.#node);
    }
  }

  #has(block: number): boolean {
    return this.#users.has(block) || this.#idle.has(block);
  }
}
