// One question through the OpenAI API with the visitor's own key, which stays in this page and is stored nowhere.
import { byId, element, getJson, money } from "./dom.js";

let running = null;

export async function listModels() {
  const { data } = await getJson("/v1/models");
  const models = data.filter((model) => model.tidelane?.kind !== "embed");
  const select = byId("model");
  const shown = [...select.options].map((option) => option.value).join();
  if (shown === models.map((model) => model.id).join()) return;
  select.replaceChildren(...models.map((model) => element("option", { value: model.id }, model.id)));
}

/** @param {(task: string) => void} onTask called with the task's id, once the answer has ended, however it did */
export async function ask(onTask) {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  byId("stop").disabled = false;
  byId("answer").textContent = "";
  say("");
  let task = null;
  try {
    const response = await fetch("/v1/chat/completions", {
      method: "POST", signal, headers: { "content-type": "application/json", authorization: `Bearer ${byId("key").value.trim()}` },
      body: JSON.stringify({
        model: byId("model").value, stream: true, stream_options: { include_usage: true }, max_tokens: Number(byId("max-tokens").value), messages: [{ role: "user", content: byId("question").value }],
      }),
    });
    if (!response.ok) throw new Error((await response.json().catch(() => null))?.error?.message ?? `The relayer answered ${response.status}.`);
    task = response.headers.get("x-tidelane-task");
    for await (const event of eventsOf(response.body)) show(event);
  } catch (error) {
    if (running.signal === signal) say(signal.aborted ? "Stopped: what was produced is paid." : error.message, !signal.aborted);
  } finally {
    if (running.signal === signal) {
      byId("stop").disabled = true;
      if (task) onTask(task);
    }
  }
}

function say(text, isTrouble = false) {
  byId("answer-cost").textContent = text;
  byId("answer-cost").className = isTrouble ? "trouble" : "quiet";
}

export const stop = () => running?.abort();

function show(event) {
  if (event.waiting) return say(`In the lobby: ${event.waiting}.`);
  if (event.choices && byId("answer-cost").textContent.startsWith("In the lobby")) say("");
  if (event.error) throw new Error(event.error.message);
  byId("answer").append(event.choices?.[0]?.delta?.content ?? "");
  const { usage, tidelane } = event;
  if (usage) say(`${usage.prompt_tokens} tokens in, ${usage.completion_tokens} out${tidelane ? ` · node ${tidelane.node} · charge ${money(tidelane.charge)} · task ${tidelane.task}` : ""}`);
}

/** The JSON values of a server-sent event stream, and where one who waits stands, which is told in comments. */
async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith(": position")) yield { waiting: line.slice(2) };
      const data = line.startsWith("data:") ? line.slice(5).trim() : "";
      if (data !== "" && data !== "[DONE]") yield JSON.parse(data);
    }
  }
}
