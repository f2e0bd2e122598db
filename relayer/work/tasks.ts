// Where tasks begin and are counted; what happens to one in between stands in taskLife.ts.
import { TidelaneError } from "../../protocol/errors.ts";
import { shuttingDown } from "./taskErrors.ts";
import { estimatedMaxFee, leastFee, planOf, type TaskRequest } from "./taskPlan.ts";
import { TaskLife, type TaskEvent, type TaskWorld } from "./taskLife.ts";
import type { Hash, TokenAmount } from "../../protocol/units.ts";
import type { Cover } from "./cover.ts";
import type { Fleet } from "./fleet.ts";
import type { Reception } from "./reception.ts";
import type { Sessions } from "./sessions.ts";

export interface TasksWorld extends TaskWorld {
  readonly fleet: Pick<Fleet, "modelIdOf" | "models">;
  readonly sessions: Pick<Sessions, "cover">;
  readonly reception: Pick<Reception, "enter" | "close">;
}

export interface RunningTask {
  readonly taskId: Hash;
  readonly sessionId: Hash;
  readonly mode: "voucher" | "allowance";
  readonly exposure: TokenAmount;
  /** Of the latest attempt; 0 while it has no node. */
  readonly nodeId: number;
  /** True where announcements come first. */
  readonly isWaiting: boolean;
  /** Canonical name. */
  readonly model: string;
  /**
   * Output, then one end. Read it to its end even when the client has gone: the end is what pays the node.
   * @throws TidelaneError `stream_interrupted`, `journal_unavailable`
   */
  readonly events: AsyncIterableIterator<TaskEvent>;
}

export class Tasks {
  readonly #world: TasksWorld;
  readonly #idle: (() => void)[] = [];
  #running = 0;
  #isStopping = false;

  constructor(world: TasksWorld) {
    this.#world = world;
  }

  get running(): number {
    return this.#running;
  }

  /**
   * Begins a task. Resolves with the first output at hand (streamed) or with the whole answer journaled (not streamed), so that
   * status and headers can be decided; or when it is known to have to wait, with the first announcement.
   * @throws TidelaneError: those of Sessions.cover, and model_not_found, wrong_model_kind, context_length_exceeded, unsupported_parameter,
   *   no_node, saturated, price_above_maximum, input_refused, payment_refused, generation_failed, journal_unavailable, shutting_down
   */
  async start(request: TaskRequest): Promise<RunningTask> {
    try {
      return await this.#begin(request);
    } catch (error) {
      if (!(error instanceof TidelaneError && error.code === "nonce_taken")) throw error;
      // Its row came after another process's of the same nonce, and the node was told to stop. The next order waits for its row first.
      this.#world.metrics.count("tasks_withdrawn_total");
      return await this.#begin(request);
    }
  }

  async #begin(request: TaskRequest): Promise<RunningTask> {
    if (this.#isStopping) throw shuttingDown();
    const plan = planOf(request, this.#world.fleet, this.#world.tokens);
    this.#running += 1;
    let life: TaskLife | null = null;
    try {
      const cover = await this.#world.sessions.cover({
        payment: request.payment, apiKey: request.apiKey, body: request.body, kind: request.kind, model: plan.model.name, modelId: plan.model.modelId,
        tier: request.tier, maxOutTokens: plan.maxOutTokens, nowMs: this.#world.clock.nowMs(),
        estimatedMaxFee: estimatedMaxFee(plan, this.#world.identity.feeBps), leastFee: leastFee(plan, this.#world.identity.feeBps),
      });
      const running = (life = new TaskLife(this.#world, plan, cover, () => this.#ended()));
      const exposure = cover.exposure();
      const events = running.run();
      const first = await firstOnceOpened(events, cover);
      return {
        taskId: cover.taskId, sessionId: cover.sessionId, mode: cover.modeName, exposure, model: plan.model.name, events: putBack(first, events), isWaiting: first.value?.type === "waiting",
        get nodeId() { return running.nodeId; },
      };
    } finally {
      // From its beginning on a life reports its own end.
      if (!life) this.#ended();
    }
  }

  /** Takes no new tasks, and turns away those that wait. Resolves when the running ones have ended. */
  async drain(): Promise<void> {
    this.#isStopping = true;
    this.#world.reception.close();
    if (this.#running > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #ended(): void {
    this.#running -= 1;
    if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }
}

/** Nothing of an answer leaves before its task is durable. @throws what the journal says of a task that it does not take */
async function firstOnceOpened<T>(events: AsyncGenerator<T>, { opened }: Pick<Cover, "opened">): Promise<IteratorResult<T>> {
  const first = await events.next();
  try {
    await opened;
  } catch (error) {
    await events.return(undefined);
    throw error;
  }
  return first;
}

/** The same events with the first one before them again. Leaving early ends the generator, whether or not the first was read. */
function putBack<T>(first: IteratorResult<T>, rest: AsyncGenerator<T>): AsyncIterableIterator<T> {
  let isFirst = true;
  return {
    next: async () => {
      if (!isFirst) return rest.next();
      isFirst = false;
      return first;
    },
    return: (value?: unknown) => rest.return(value),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
