// The four classics: they know their own requests in flight and nothing else, and admit everybody.
import { Book } from "../book.ts";
import type { Job } from "../job.ts";
import type { Policy, PolicyKind, World } from "../policy.ts";

/** Each request to a node drawn evenly: Envoy's RANDOM. */
export const random: PolicyKind = { name: "random", hasAdmission: false, make: (world) => chooser(world, (job) => drawFitting(world, job)) };

/** Each request to the next node in turn: nginx's default, Envoy's ROUND_ROBIN. */
export const roundRobin: PolicyKind = {
  name: "round_robin", hasAdmission: false,
  make: (world) => {
    let last = -1;
    return chooser(world, (job) => (last = firstFitting(world, job, last + 1)));
  },
};

/** The node with the fewest own requests in flight, ties drawn evenly: nginx `least_conn`, Finagle's `heap` balancer. */
export const leastRequest: PolicyKind = {
  name: "least_request", hasAdmission: false,
  make: (world) => {
    const order = world.profiles.map((_, node) => node);
    return chooser(world, (job, book) => {
      let best = -1;
      let ties = 0;
      for (const node of order) {
        if (!world.fits(node, job)) continue;
        const ahead = best < 0 ? -1 : book.inFlight[node]! - book.inFlight[best]!;
        if (ahead < 0) [best, ties] = [node, 1];
        else if (ahead === 0 && world.random.below(++ties) === 0) best = node;
      }
      return best;
    });
  },
};

/**
 * The one with fewer own requests in flight of two nodes drawn evenly (Mitzenmacher, "The Power of Two Choices in Randomized Load
 * Balancing", 2001; Envoy's LEAST_REQUEST with its default choice_count of 2; Finagle's `p2c`).
 */
export const powerOfTwo: PolicyKind = {
  name: "power_of_two", hasAdmission: false,
  make: (world) => chooser(world, (job, book) => {
    const [one, other] = [drawFitting(world, job), drawFitting(world, job)];
    return one >= 0 && book.inFlight[other]! < book.inFlight[one]! ? other : one;
  }),
};

/** Sends every request to whom `choose` names; a request that fits nowhere is refused. */
export function chooser(world: World, choose: (job: Job, book: Book) => number): Policy {
  const book = new Book(world.profiles.length);
  return {
    arrived: (job) => {
      const node = choose(job, book);
      if (node < 0) return world.refuse(job);
      book.sent(node);
      world.send(job, node);
    },
    ended: (job) => book.ended(job),
  };
}

/** @returns an evenly drawn node that can hold the request, -1 where none can */
export function drawFitting(world: World, job: Job): number {
  for (let tries = 0; tries < 8; tries++) {
    const node = world.random.below(world.profiles.length);
    if (world.fits(node, job)) return node;
  }
  return firstFitting(world, job, world.random.below(world.profiles.length));
}

/** @returns the first node from `from` on and around that can hold the request, or -1 */
export function firstFitting(world: World, job: Job, from: number): number {
  for (let i = 0; i < world.profiles.length; i++) {
    const node = (from + i) % world.profiles.length;
    if (world.fits(node, job)) return node;
  }
  return -1;
}
