// The lobby and the tidal lanes: how many wait and for how long, and how hard each lane is pressed.
import { byId, setLevel } from "./dom.js";

const PRESSED_PERCENT = 80;
const ladder = {
  calm: "", lean: "The relayer itself is busy: connections are not kept open.", no_flex: "The relayer itself is busy: flex requests are refused.",
  closed: "The relayer itself is overloaded: new requests are refused.",
};

/** @param {object | undefined} lobby the relayer's LobbyStatus; undefined where it tells none */
export function showLobby(lobby) {
  byId("tides").hidden = !lobby?.lanes;
  byId("lobby").hidden = !lobby;
  if (!lobby) return;
  for (const [name, lane] of [["decode", lobby.lanes?.decode], ["prep", lobby.lanes?.prep]]) if (lane) showLane(byId(`lane-${name}`), lane);
  const text = textOf(lobby);
  if (byId("lobby").textContent !== text) byId("lobby").textContent = text;
  byId("lobby").classList.toggle("pressed", lobby.waiting > 0 || lobby.overload !== "calm");
}

function showLane(root, { nodes, slots, running, waiting, pressurePercent }) {
  const fill = root.querySelector(".fill");
  setLevel(fill, pressurePercent);
  fill.classList.toggle("high", pressurePercent >= PRESSED_PERCENT);
  const waits = waiting > 0 ? `, ${waiting} waiting` : "";
  root.querySelector(".lane-text").textContent = `${pressurePercent} % · ${nodes} ${nodes === 1 ? "node" : "nodes"}, ${slots} slots, ${running} running${waits}`;
}

function textOf({ waiting, deferred, expectedWaitMs, refusedPercent, overload }) {
  const parts = [waiting === 0 ? "The lobby is empty." : `${waiting} in the lobby; who comes now waits about ${Math.max(1, Math.ceil(expectedWaitMs / 1_000))} s.`];
  if (deferred > 0) parts.push(`${deferred} deferred until the ebb.`);
  if (refusedPercent > 0) parts.push(`${refusedPercent} % of those who will not wait are turned away.`);
  return [...parts, ladder[overload] ?? ""].filter((part) => part !== "").join(" ");
}
