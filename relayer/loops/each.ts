// One thing after another, where none may keep those behind it waiting.
import { TidelaneError } from "../../protocol/errors.ts";

/**
 * Does it for each, also after one that failed: a claim or demand that cannot be looked after now costs the others no time that
 * they do not have. Only where the chain is away it is away for all.
 * @throws the first failure, at the end
 */
export async function forEach<Item>(items: Iterable<Item>, act: (item: Item) => Promise<void>): Promise<void> {
  const failures: unknown[] = [];
  for (const item of items) {
    try {
      await act(item);
    } catch (error) {
      if (error instanceof TidelaneError && error.code === "chain_unreachable") throw error;
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
