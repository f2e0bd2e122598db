// The relayer's floor over simulated nodes: what every predicting policy shares.
import { Floor } from "../../relayer/lobby/floor.ts";
import type { NodeModel } from "../../relayer/lobby/predict.ts";
import type { NodeProfile } from "./profiles.ts";
import type { World } from "./policy.ts";

/** The curve as a node attests it. */
export const modelOf = (profile: NodeProfile): NodeModel => ({
  curve: {
    aNs: Math.round(profile.a * 1e6), bNs: Math.round(profile.b * 1e6), cNs: Math.round(profile.c * 1e6), dNs: Math.round(profile.d * 1e6), ePs: Math.round(profile.e * 1e9),
  },
  slots: profile.batchLimit, kvTokens: profile.kvTokens, chunkTokens: profile.chunkTokens,
});

/** Requests go by their job's id. */
export const floorOf = (world: World): Floor<number> => new Floor(world.profiles.map(modelOf));
