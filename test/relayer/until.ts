// Waits for a condition instead of for a time.

/** Polls until the condition holds. @throws after the limit, naming the condition's source. */
export async function until(condition: () => boolean | Promise<boolean>, limitMs = 5_000): Promise<void> {
  const startMs = performance.now();
  while (!await condition()) {
    if (performance.now() - startMs > limitMs) throw new Error(`not within ${limitMs} ms: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
