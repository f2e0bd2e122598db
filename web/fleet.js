// The live fleet: one card for each node, updated in place so that a reader's place and a screen reader's focus stay.
import { byId, element, percentOf, setLevel } from "./dom.js";

/** As NodeRegistry numbers them, from 1. */
const classNames = ["?", "HIGH", "MID", "LOW"];
const bars = [["computeBps", "compute"], ["memoryBps", "memory"], ["queueBps", "queue"], ["networkBps", "network"]];
const HIGH_BPS = 8_000;
const cards = new Map();

/**
 * @param {{nodes: object[]}} fleet the relayer's FleetStatus
 * @param {number[]} prepNodeIds those that the tide has turned to preprocessing
 */
export function showFleet(fleet, prepNodeIds) {
  const nodes = [...fleet.nodes].sort((a, b) => a.nodeId - b.nodeId);
  const known = new Set(nodes.map((node) => node.nodeId));
  for (const [id, card] of cards) if (!known.has(id)) {
    card.root.remove();
    cards.delete(id);
  }
  for (const node of nodes) {
    if (!cards.has(node.nodeId)) {
      cards.set(node.nodeId, cardOf(node));
      byId("nodes").append(cards.get(node.nodeId).root);
    }
    update(cards.get(node.nodeId), node, prepNodeIds.includes(node.nodeId));
  }
  byId("no-nodes").hidden = nodes.length > 0;
  showTide(nodes);
}

function showTide(nodes) {
  const serving = nodes.filter((node) => node.state === "serving" || node.state === "full");
  const slots = sum(serving, "slots");
  const used = sum(serving, "inFlight");
  const percent = slots === 0 ? 0 : Math.round((100 * used) / slots);
  const tide = byId("tide");
  setLevel(tide, percent);
  tide.setAttribute("aria-valuenow", String(percent));
  tide.setAttribute("aria-valuetext", `${used} of ${slots} slots in use`);
  tide.querySelector(".water").classList.toggle("empty", percent === 0);
  byId("tide-used").textContent = `${used} / ${slots}`;
  byId("tide-detail").textContent = `slots in use on ${serving.length} ${serving.length === 1 ? "node" : "nodes"}`;
}

const sum = (nodes, key) => nodes.reduce((all, node) => all + (node[key] ?? 0), 0);

function cardOf(node) {
  const card = {
    state: element("span", { class: "badge state" }), models: element("p", { class: "models quiet" }), slots: element("div", { class: "slots", role: "img" }),
    bars: bars.map(([key, name]) => ({ key, name, fill: element("div", { class: "fill" }), value: element("span") })), lanes: element("p", { class: "lanes quiet" }), facts: element("p", { class: "facts quiet" }), slotsShown: "",
  };
  card.root = element("li", { class: "node" },
    element("div", { class: "node-head" }, element("h3", {}, `Node ${node.nodeId}`), element("span", { class: "badge" }, classNames[node.hardwareClass] ?? "?"), card.state),
    card.models, card.slots, card.lanes,
    ...card.bars.map((bar) => element("div", { class: "bar" }, element("span", {}, bar.name), element("div", { class: "track", "aria-hidden": "true" }, bar.fill), bar.value)), card.facts);
  return card;
}

function update(card, node, isPrep) {
  card.state.textContent = node.state;
  card.state.dataset.state = node.state;
  card.models.textContent = `${node.models.join(", ")} · ${node.engine}`;
  updateSlots(card, node, isPrep);
  for (const bar of card.bars) {
    const bps = node[bar.key] ?? 0;
    setLevel(bar.fill, bps / 100);
    bar.fill.classList.toggle("high", bps >= HIGH_BPS);
    bar.value.textContent = percentOf(bps);
  }
  const age = node.attestationAgeMs === null ? "never" : `${(node.attestationAgeMs / 1_000).toFixed(1)} s ago`;
  card.lanes.textContent = isPrep ? "lane: preprocessing" : "lane: generation";
  card.facts.textContent = `score ${percentOf(node.scoreBps)} · attested ${age}`;
}

/** The last slot of a node that the tide has turned to preprocessing is kept for that, where there is another one. */
function updateSlots(card, { slots, inFlight }, isPrep) {
  const prepSlots = isPrep && slots > 1 ? 1 : 0;
  const shown = `${slots} ${prepSlots} ${inFlight}`;
  if (card.slotsShown === shown) return;
  card.slotsShown = shown;
  const boxes = Array.from({ length: Math.min(slots, 128) }, (_, i) => element("span", { class: `slot${i >= slots - prepSlots ? " prep" : ""}${i < inFlight ? " used" : ""}` }));
  card.slots.replaceChildren(...boxes);
  card.slots.setAttribute("aria-label", `${inFlight} of ${slots} slots in use; ${slots - prepSlots} for generation, ${prepSlots} for preprocessing`);
}
