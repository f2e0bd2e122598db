// A task's receipt with everything that a verification uses, and the command that makes it.
import { byId, element, getJson, list, money, short } from "./dom.js";

const statusNames = { 1: "complete", 2: "aborted by the node", 3: "cancelled" };

/** Charge of a fee, relayer's share included: rounded down, as on chain. */
const chargeOf = (fee, feeBps) => BigInt(fee) + (BigInt(fee) * BigInt(feeBps)) / 10_000n;

const LOOK_EVERY_MS = 2_000;
const LOOKS_MAX = 150;
let lookUps = 0;
let savedFile = null;

/** Shows a task's receipt, and follows it until it is settled or another one is looked up. */
export async function showReceipt(task) {
  const lookUp = ++lookUps;
  const view = byId("receipt-view");
  view.replaceChildren(element("p", { class: "quiet" }, "looking …"));
  try {
    for (let look = 0, before = ""; look < LOOKS_MAX; look++) {
      const receipt = await getJson(`/tidelane/v1/receipts/${task}`);
      if (lookUp !== lookUps) return;
      const now = JSON.stringify(receipt);
      // Only what has changed is drawn anew: a reader may have opened a part of it.
      if (now !== before) show(view, receipt);
      if (isOver(receipt)) return;
      before = now;
      await new Promise((wake) => setTimeout(wake, LOOK_EVERY_MS));
    }
  } catch (error) {
    if (lookUp === lookUps) view.replaceChildren(element("p", { class: "trouble" }, error.message));
  }
}

const isOver = ({ state, attempts, batch }) => batch?.state === "confirmed" || (state === "failed" && attempts.length === 0);

function show(view, receipt) {
  view.replaceChildren(summary(receipt), ...receipt.attempts.map(attemptSheet), ...(receipt.batch ? [batchSheet(receipt.batch)] : []), ...(receipt.unsigned.length > 0 ? [unsignedSheet(receipt.unsigned)] : []));
}

function summary(receipt) {
  const charge = receipt.attempts.reduce((all, { record }) => all + chargeOf(record.receipt.body.fee, record.assignment.feeBps), 0n);
  const settled = receipt.batch?.state === "confirmed" ? `in batch ${receipt.batch.header.batchId}, block ${receipt.batch.blockNumber}` : "not settled on chain yet";
  if (savedFile) URL.revokeObjectURL(savedFile);
  savedFile = URL.createObjectURL(new Blob([JSON.stringify(receipt, null, 1)], { type: "application/json" }));
  return element("div", { class: "sheet" },
    list([
      ["Task", mono(receipt.taskId)], ["State", `${receipt.state}, ${settled}`], ["Charge", money(charge)],
      ["Verify it yourself", mono(`npx tidelane audit verify ${receipt.taskId}`)],
    ]),
    element("p", {}, element("a", { href: savedFile, download: `${receipt.taskId}.receipt.json` }, "Save the receipt"), element("span", { class: "quiet" }, " – once settled, the file verifies from the chain alone")));
}

function attemptSheet({ record, proofs }, i) {
  const { receipt, assignment, order, voucher } = record;
  const { body } = receipt;
  return element("div", { class: "sheet" },
    element("h3", {}, `Attempt ${i + 1}: node ${receipt.nodeId}`),
    list([
      ["Tokens", `${body.inputTokens} in, ${body.outputTokens} out`], ["Status", statusNames[body.status] ?? `unknown (${body.status})`],
      ["Fee of the node", money(body.fee)], ["Charge", `${money(chargeOf(body.fee, assignment.feeBps))}, at most ${money(order.maxFee)}`],
      ["Prices per million", `${money(assignment.priceInPerMTok)} in, ${money(assignment.priceOutPerMTok)} out, ${assignment.feeBps / 100} % to the relayer`],
      ["Time", `${new Date(body.startedAt * 1_000).toISOString()} to ${new Date(body.finishedAt * 1_000).toISOString()}`],
      ["Payer", mono(record.authorization.payer)], ["Session", mono(order.sessionId)], ["Prompt commitment", mono(order.promptCommit)], ["Output commitment", mono(body.outputCommit)],
      ["Decision", mono(assignment.decisionHash)], ["Attestation", mono(assignment.attestationHash)],
      ["Voucher", voucher ? `cap ${money(voucher.cumulativeCap)}` : "none: an allowance session"], ["Signature of the node", mono(record.receiptSignature)], ["Signature of the relayer", mono(record.assignmentSignature)],
    ]),
    proofs ? proofDetails("Path in the session tree (charges)", proofs.session) : element("p", { class: "quiet" }, "No proof of inclusion yet."),
    proofs ? proofDetails("Path in the tab tree (fees)", proofs.tab) : null);
}

function proofDetails(title, proof) {
  return element("details", {}, element("summary", {}, `${title}: leaf ${proof.index}, ${proof.siblings.length} siblings`),
    element("ol", {}, ...proof.siblings.map((sibling) => element("li", {}, mono(sibling.hash), ` sum ${money(sibling.sum)}`))));
}

function batchSheet({ header, state, transactionHash, blockNumber, gasUsed }) {
  return element("div", { class: "sheet" }, element("h3", {}, `Batch ${header.batchId}`), list([
    ["State", state], ["Transaction", mono(transactionHash)], ["Block", blockNumber ?? "not mined yet"], ["Gas", gasUsed ?? "–"], ["Receipts", String(header.leafCount)],
    ["Debited", money(header.totalDebit)], ["Credited", money(header.totalCredit)], ["Session root", mono(header.sessionRoot)], ["Tab root", mono(header.tabRoot)], ["Data", mono(header.dataHash)],
  ]));
}

const unsignedSheet = (unsigned) => element("div", { class: "sheet" }, element("h3", {}, "Attempts without a receipt"),
  list(unsigned.map(({ nodeId, cause, assignmentHash }) => [`Node ${nodeId}`, `${cause} (assignment ${short(assignmentHash)}): nothing is owed`])));

const mono = (text) => element("span", { class: "mono" }, String(text));
