/** The transport key of a user request, checked: a key of small order would make the answer readable to everybody. */
import { Effect } from "effect"
import { fromHex } from "../domain/hex.ts"
import type { DecryptionRequest } from "../domain/request.ts"
import type { Bls12381Engine } from "../threshold/engine.ts"
import { PointRejected } from "../threshold/point-rejected.ts"
import { readTransportKey } from "../threshold/transport.ts"
import { refuse } from "./refusal.ts"

/** Fails with the `Refusal` "transport-key-invalid". */
export const readUserKey = (engine: Bls12381Engine, request: DecryptionRequest) =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(readTransportKey(engine, fromHex(request.transportKey)))
    } catch (error) {
      if (error instanceof PointRejected) return Effect.fail(refuse("transport-key-invalid", error.reason))
      throw error
    }
  })
