// What an answer costs on the network of real processes: the price that was listed, at whatever tide and in every tier.
import { expect } from "chai";
import { Tier, type TierValue } from "../../protocol/constants.ts";
import { modelsFromJson, type ListedModel } from "../../protocol/service.ts";
import { pricesAtTide, TIDE_ONE } from "../../protocol/tide.ts";
import { chat, until, type Hash, type Network, type Paying } from "./network.ts";

const TIERS = { default: Tier.DEFAULT, priority: Tier.PRIORITY, flex: Tier.FLEX } as const;
/** The tide may move while one answer is on its way; hardly while several are. */
const TRIES_MAX = 4;

export function describePrices(network: Network): void {
  describe("prices", () => {
    it("are charged as /v1/models lists them, at a tide that has moved and in every tier", async () => {
      const paying = await network.voucherPayer();
      // Nodes that are asked so little are far below 70 %: the tide ebbs with the first epoch that is committed.
      await until("the tide has moved", async () => (await listed(network)).tideMultiplier < TIDE_ONE, 60_000);
      for (const [name, tier] of Object.entries(TIERS)) await expectListedPrice(network, paying, name as keyof typeof TIERS, tier);
      expect(paying.outcomes.flatMap((outcome) => outcome.findings)).to.deep.equal([]);
    });
  });
}

const listed = async ({ devnet }: Network): Promise<ListedModel> =>
  modelsFromJson(await (await fetch(`${devnet.relayerUrl}/v1/models`)).json()).find((model) => model.aliases.includes(chat.model))!;

async function expectListedPrice(network: Network, { client }: Paying, service_tier: keyof typeof TIERS, tier: TierValue): Promise<void> {
  for (let tries = 1; ; tries++) {
    const { base, tideMultiplier } = await listed(network);
    const answer = await client.chat.completions.create({ ...chat, max_tokens: 4, service_tier });
    if ((await listed(network)).tideMultiplier !== tideMultiplier && tries < TRIES_MAX) continue;
    const { task } = (answer as unknown as { tidelane: { task: Hash } }).tidelane;
    const { order, assignment, authorization } = (await network.view(task))!.attempts[0]!.record;
    expect(order.tier).to.equal(tier);
    expect({ priceInPerMTok: assignment.priceInPerMTok, priceOutPerMTok: assignment.priceOutPerMTok }, service_tier).to.deep.equal(pricesAtTide(base!, tideMultiplier, tier));
    expect(assignment.priceOutPerMTok <= authorization.maxPriceOutPerMTok && assignment.priceInPerMTok <= authorization.maxPriceInPerMTok).to.equal(true);
    return;
  }
}
