// What the tests of tasks look at again and again.
import { expect } from "chai";
import { hashStruct } from "../../../protocol/typedData.ts";
import { TidelaneError } from "../../../protocol/errors.ts";
import type { RunningTask } from "../../../relayer/work/tasks.ts";
import type { TaskEnd, TaskEvent } from "../../../relayer/work/taskLife.ts";
import type { StoredTask } from "../../../relayer/ports/journal.ts";
import type { TestWorld } from "./world.ts";

export const textOf = (events: readonly TaskEvent[]): string => events.map((event) => (event.type === "delta" ? event.text : "")).join("");
export const endOf = (events: readonly TaskEvent[]): TaskEnd => events.at(-1) as TaskEnd;

export async function all(task: RunningTask): Promise<TaskEvent[]> {
  const events: TaskEvent[] = [];
  for await (const event of task.events) events.push(event);
  return events;
}

export async function failure(work: Promise<unknown>): Promise<TidelaneError> {
  const error = await work.then(() => null, (thrown: unknown) => thrown);
  expect(error).to.be.instanceOf(TidelaneError);
  return error as TidelaneError;
}

export async function stored(world: TestWorld, at = 0): Promise<StoredTask> {
  const { order } = world.requests[at]!.covered;
  return (await world.journal.task(hashStruct("TaskOrder", order)))!;
}

/** Nothing owed, nothing kept: the promise of every path that ends without a good receipt. */
export async function expectNothingCharged(world: TestWorld): Promise<void> {
  expect(world.covers.map(({ charged, released }) => ({ charged, released }))).to.deep.equal(world.covers.map(() => ({ charged: null, released: true })));
  expect(world.acks).to.deep.equal([]);
  expect(world.outcomes).to.have.length(world.chosen.length - (world.chosen.length > world.requests.length ? 1 : 0));
  if (world.requests.length > 0) expect(await stored(world)).to.include({ state: "failed" });
  expect(world.tasks.running).to.equal(0);
}
