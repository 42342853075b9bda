/** Registered ciphertexts. Registrations never change, so an answer is remembered; an absence is not. */
import { Effect, Layer } from "effect"
import { Interface } from "ethers"
import type { CiphertextRecord } from "../../domain/ciphertext.ts"
import { lower, type Hex } from "../../domain/hex.ts"
import { ZERO_ADDRESS } from "../../domain/request.ts"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import { CiphertextRegistry } from "../../journey/3-ciphertext-fetched/ciphertext-registry.port.ts"
import type { Contracts } from "./addresses.ts"
import { abi } from "./generated/CiphertextRegistry.ts"
import type { Rpc } from "./rpc.ts"

const registryInterface = new Interface(abi)
/** About 1 KiB each. */
const REMEMBERED_MAX = 4_096

export const ciphertextRegistryLayer = (rpc: Rpc, contracts: Contracts) => {
  const remembered = new Map<Hex, CiphertextRecord>()
  const ask = (method: "recordOf" | "locationsOf", handle: Hex) =>
    rpc.call(contracts.ciphertextRegistry, registryInterface.encodeFunctionData(method, [handle]), "latest").pipe(
      Effect.flatMap((answer) =>
        Effect.try({
          try: () => registryInterface.decodeFunctionResult(method, answer),
          catch: (cause) => new ChainUnavailable({ doing: `${method}: decode`, cause })
        })
      ),
      Effect.catchTag("CallReverted", (cause) => Effect.fail(new ChainUnavailable({ doing: method, cause })))
    )
  const record = Effect.fnUntraced(function* (handle: Hex) {
    const known = remembered.get(handle)
    if (known !== undefined) return known
    const [[owner, digest, size, epoch], [locations]] = yield* Effect.all([ask("recordOf", handle), ask("locationsOf", handle)], {
      concurrency: "unbounded"
    })
    if (lower(String(owner)) === ZERO_ADDRESS) return undefined
    const found: CiphertextRecord = {
      handle,
      owner: lower(String(owner)),
      digest: lower(String(digest)),
      sizeBytes: Number(size),
      epoch: Number(epoch),
      locations: [...(locations as Iterable<string>)]
    }
    remembered.set(handle, found)
    if (remembered.size > REMEMBERED_MAX) remembered.delete(remembered.keys().next().value!)
    return found
  })
  return Layer.succeed(CiphertextRegistry, {
    records: (handles) => Effect.forEach(handles, record, { concurrency: "unbounded" })
  })
}
