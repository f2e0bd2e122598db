// Makes one decision again, with the relayer's very `decide`, and says in what it comes out otherwise.
import { decide, GATES, OPEN, Scratch, type Gate } from "../../relayer/routing/decide.ts";
import { decisionText } from "../../relayer/routing/decision.ts";
import { wordsOf } from "../../relayer/routing/draws.ts";
import { drawOf, type DrawnFor } from "../../relayer/routing/seeds.ts";
import { ATTESTATION_VALID_MS } from "../../protocol/link.ts";
import type { OwnLoad } from "../../relayer/routing/saturation.ts";
import type { Shard } from "../../relayer/routing/table.ts";
import type { Hash } from "../../protocol/units.ts";
import type { NodesBefore } from "./tasks.ts";
import type { PublishedDecision } from "./decisions.ts";
import type { Doubt } from "./load.ts";

const scratch = new Scratch();
const GONE = GATES.indexOf("gone");

/** What a draw is made for, by order and assignment; the mode is the session's. */
export const drawnForOf = ({ task, assignment, decision }: PublishedDecision): DrawnFor => ({
  mode: decision.mode, taskId: assignment.taskId, sessionId: task.order.sessionId, nonce: task.order.nonce, subtask: assignment.subtask, attempt: assignment.attempt,
});

export const drawFor = (seed: Hash, one: PublishedDecision): Hash => drawOf(seed, drawnForOf(one));

/**
 * The same choice from table, draw and load. Which candidates were closed is taken from the record: the table cannot say it.
 * @param shard of the order's model, with the load that was rebuilt
 * @returns what differs, as `member: published, made again`; empty where nothing does
 */
export function differences(one: PublishedDecision, shard: Shard): string[] {
  const { decision, published } = one;
  const gates = new Map(decision.candidates.map((candidate) => [candidate.node, candidate.out === undefined ? OPEN : GATES.indexOf(candidate.out)]));
  const task = {
    inputTokens: decision.inputTokens, expectedOutTokens: decision.expectedOutTokens, affinityNodeId: decision.affinityNode, cachedTokens: decision.cachedTokens, ageMs: decision.ageMs,
  };
  const row = decide(shard, task, wordsOf(decision.draw), (at) => gates.get(shard.rows[at]!.nodeId) ?? GONE, scratch);
  if (row < 0) return [`chosen: ${decision.chosen}, nobody`];
  const again = decisionText({
    processId: decision.processId, sequence: decision.sequence, tableRoot: decision.table, epoch: decision.epoch, draw: decision.draw, drawnFor: drawnForOf(one),
    cause: decision.cause, task,
  }, shard, scratch, row);
  return again === published.decision ? [] : membersThatDiffer(JSON.parse(published.decision) as Members, JSON.parse(again) as Members);
}

/** The shard with the loads that the record claims, for decisions whose load cannot be rebuilt. */
export function withClaimedLoad(shard: Shard, { decision }: PublishedDecision): Shard {
  const claimed = new Map(decision.candidates.map(({ node, own }) => [node, loadOf(own)]));
  return { ...shard, own: shard.rows.map((row, i) => claimed.get(row.nodeId) ?? shard.own[i]!) };
}

/** @returns where the claimed load on a candidate cannot be, with so much in doubt; empty where it can */
export function impossibleLoads({ decision }: PublishedDecision, on: (nodeId: number) => Readonly<OwnLoad>, { unpublished, untold }: Doubt): string[] {
  return decision.candidates.flatMap(({ node, own }) => {
    const claimed = loadOf(own);
    const known = on(node);
    const isPossible = unpublished + untold === 0
      ? claimed.inFlight === known.inFlight && claimed.prefillTokens === known.prefillTokens && claimed.contextTokens === known.contextTokens
      : claimed.inFlight >= known.inFlight - untold && claimed.inFlight <= known.inFlight + unpublished + untold;
    return isPossible ? [] : [`node ${node}: ${shown(claimed)} claimed, ${shown(known)} rebuilt`];
  });
}

/** @returns closed or open candidates that earlier attempts or the table contradict */
export function impossibleGates({ decision }: PublishedDecision, shard: Shard, { tried, failed }: NodesBefore): string[] {
  return decision.candidates.flatMap(({ node, out }) => {
    const row = shard.rows.find((one) => one.nodeId === node);
    if (out === "excluded" && !tried.has(node)) return [`node ${node} is left out as tried before, and no earlier attempt went to it`];
    if (out !== undefined) return [];
    if (failed.has(node)) return [`node ${node} was open, though an earlier attempt had failed on it`];
    return row && row.ageMs + decision.ageMs >= ATTESTATION_VALID_MS ? [`node ${node} was open, though its attestation was stale`] : [];
  });
}

/** Reasons of closed candidates that nothing published confirms. */
export function gatesAtItsWord({ decision }: PublishedDecision, shard: Shard): Gate[] {
  return decision.candidates.flatMap(({ node, out, own: [inFlight] }) => {
    const row = shard.rows.find((one) => one.nodeId === node);
    if (out === undefined || out === "excluded" || !row) return [];
    if (out === "full" && inFlight >= Math.min(row.slots, row.modelSlots)) return [];
    return out === "stale" && row.ageMs + decision.ageMs >= ATTESTATION_VALID_MS ? [] : [out];
  });
}

type Members = Readonly<Record<string, unknown>>;

function membersThatDiffer(published: Members, again: Members): string[] {
  const names = [...new Set([...Object.keys(again), ...Object.keys(published)])].filter((name) => JSON.stringify(published[name]) !== JSON.stringify(again[name]));
  if (names.length === 0) return ["the text is not canonical"];
  return names.map((name) => `${name}: ${brief(published[name])}, ${brief(again[name])}`);
}

const brief = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "missing";
  return text.length <= 120 ? text : `${text.slice(0, 117)}...`;
};

const loadOf = ([inFlight, prefillTokens, contextTokens]: readonly [number, number, number]): OwnLoad => ({ inFlight, prefillTokens, contextTokens });
const shown = ({ inFlight, prefillTokens, contextTokens }: Readonly<OwnLoad>): string => `${inFlight} in flight, ${prefillTokens} prefill and ${contextTokens} context tokens`;
