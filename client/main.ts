// Puts the payer's SDK together for a Node program: files, chain, network.
import { openFileStore } from "./adapters/fileStore.ts";
import { payerChain, type ChainAccess } from "./adapters/chain.ts";
import { systemClock, systemDice } from "./adapters/world.ts";
import { TidelanePayer, type PayerOptions, type PayerWorld } from "./payer.ts";
import type { Fetch } from "./ports.ts";

export interface PayerPlace extends ChainAccess {
  /** The session's file, made by `tidelane payer open` or `openSession`. */
  readonly sessionFile: string;
  /** Stands in for the platform's fetch, for a proxy for example. */
  readonly fetch?: Fetch;
}

/**
 * Opens the session in a file, ready to pay.
 * @throws `no_session`, `store_in_use`, `invalid_state`, `wrong_deployment`
 */
export async function openPayer(place: PayerPlace, options: PayerOptions = {}): Promise<TidelanePayer> {
  const world = await payerWorld(place);
  try {
    return await TidelanePayer.restore(world, options);
  } catch (error) {
    await world.store.close();
    throw error;
  }
}

/** The world that `openSession` and `TidelanePayer` need; its store is held until it is closed. */
export async function payerWorld(place: PayerPlace): Promise<PayerWorld> {
  return {
    chain: payerChain(place), clock: systemClock, dice: systemDice, fetch: place.fetch ?? ((url, init) => fetch(url, init)), store: await openFileStore(place.sessionFile),
  };
}
