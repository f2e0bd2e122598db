// Ties the page together: asks for the status each second while somebody looks, and wires the two forms.
import { ask, listModels, stop } from "./ask.js";
import { alignedMoney, byId, element, getJson, short } from "./dom.js";
import { showFleet } from "./fleet.js";
import { showLobby } from "./lobby.js";
import { showReceipt } from "./receipt.js";

const STATUS_EVERY_MS = 1_000;
const MODELS_EVERY_MS = 10_000;
let modelsAt = -Infinity;

async function refresh() {
  try {
    const status = await getJson("/tidelane/v1/status");
    showFleet(status.fleet ?? status, status.lobby?.lanes?.prepNodeIds ?? []);
    showLobby(status.lobby);
    showBatches(status.batches ?? []);
    if (performance.now() - modelsAt > MODELS_EVERY_MS) {
      modelsAt = performance.now();
      await listModels();
    }
    trouble(null);
  } catch (error) {
    trouble(`The relayer does not answer: ${error.message}`);
  }
}

async function showRelayer() {
  try {
    const info = await getJson("/tidelane/v1/info");
    byId("relayer").textContent = `relayer ${info.relayerId} on chain ${info.chainId} · fee ${info.feeBps / 100} % · window ${info.windowSeconds} s`;
  } catch {
    byId("relayer").textContent = "";
  }
}

function showBatches(batches) {
  byId("no-batches").hidden = batches.length > 0;
  byId("batch-rows").replaceChildren(...batches.map((batch) => element("tr", {},
    element("th", { scope: "row" }, String(batch.batchId)), element("td", {}, batch.state), number(batch.leafCount), number(alignedMoney(batch.totalDebit)), number(alignedMoney(batch.totalCredit)),
    number(batch.gasUsed ?? "–"), number(batch.blockNumber ?? "–"), element("td", { class: "mono", title: batch.transactionHash }, short(batch.transactionHash)))));
}

const number = (value) => element("td", { class: "number" }, String(value));

function trouble(text) {
  byId("trouble").hidden = text === null;
  if (byId("trouble").textContent !== (text ?? "")) byId("trouble").textContent = text ?? "";
}

/** One request at a time, none while the page is hidden. */
async function keepFresh() {
  for (;;) {
    if (!document.hidden) await refresh();
    await new Promise((wake) => setTimeout(wake, STATUS_EVERY_MS));
  }
}

function lookUp(task) {
  byId("task").value = task;
  history.replaceState(null, "", `?task=${task}#receipt`);
  return showReceipt(task);
}

byId("receipt-form").addEventListener("submit", (event) => {
  event.preventDefault();
  void lookUp(byId("task").value.trim().toLowerCase());
});
byId("ask-form").addEventListener("submit", (event) => {
  event.preventDefault();
  void ask((task) => void lookUp(task));
});
byId("stop").addEventListener("click", stop);

const asked = new URLSearchParams(location.search).get("task");
if (asked && /^0x[0-9a-f]{64}$/i.test(asked)) void lookUp(asked.toLowerCase());
void showRelayer();
void keepFresh();
