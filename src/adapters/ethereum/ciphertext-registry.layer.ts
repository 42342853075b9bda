/**
 * Registered ciphertexts. A registration in a block that is final never changes, so it is remembered; one that is newer is read
 * again, because a reorganisation may replace it, and an absence is never remembered.
 */
import { Effect, Layer, Result } from "effect"
import { AbiCoder, Interface } from "ethers"
import type { CiphertextRecord } from "../../domain/ciphertext.ts"
import { fromHex, lower, type Hex } from "../../domain/hex.ts"
import { ZERO_ADDRESS } from "../../domain/request.ts"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import type { FinalityPolicy } from "../../journey/2-acl-checked/access-list.port.ts"
import { CiphertextRegistry } from "../../journey/3-ciphertext-fetched/ciphertext-registry.port.ts"
import { type CacheBounds, Cache } from "../../resilience/cache.ts"
import { type CacheMeter, meterHere } from "../../resilience/cache-meter.ts"
import type { Contracts } from "./addresses.ts"
import { finalityOf } from "./finality.ts"
import { abi } from "./generated/CiphertextRegistry.ts"
import type { BlockTag, Rpc } from "./rpc.ts"

const registryInterface = new Interface(abi)
/** About 1 KiB each. No age: what is final does not change. */
const REMEMBERED: CacheBounds = { entriesMax: 4_096, ageMsMax: Number.POSITIVE_INFINITY }

export const ciphertextRegistryLayer = (rpc: Rpc, contracts: Contracts, policy: FinalityPolicy = { type: "latest" }) =>
  Layer.effect(CiphertextRegistry, Effect.map(meterHere("registrations"), (meter) => registryOf(rpc, contracts, policy, meter)))

const registryOf = (rpc: Rpc, contracts: Contracts, policy: FinalityPolicy, meter: CacheMeter) => {
  const remembered = new Cache<Known, ChainUnavailable>(REMEMBERED, meter)
  const finality = finalityOf(rpc, policy)
  const ask = (method: "recordOf" | "locationsOf", handle: Hex, at: BlockTag) =>
    rpc.call(contracts.ciphertextRegistry, registryInterface.encodeFunctionData(method, [handle]), at)
  const recordAt = Effect.fnUntraced(function* (handle: Hex, at: BlockTag) {
    const [head, locations] = yield* Effect.all([ask("recordOf", handle, at), Effect.result(ask("locationsOf", handle, at))], {
      concurrency: "unbounded"
    }).pipe(Effect.catchTag("CallReverted", (cause) => unavailable(handle, cause)))
    const facts = yield* decode(handle, () => factsIn(head))
    if (facts.owner === ZERO_ADDRESS) return undefined
    // Also a revert: an endpoint that knows the handle for one question and not for the other.
    if (Result.isFailure(locations)) return yield* unavailable(handle, locations.failure)
    return { handle, ...facts, locations: yield* decode(handle, () => locationsIn(locations.success)) } satisfies CiphertextRecord
  })
  const look = Effect.fnUntraced(function* (handle: Hex) {
    if (policy.type === "latest") return { record: yield* recordAt(handle, "latest"), isFinal: true } satisfies Known as Known
    const final = yield* recordAt(handle, { hash: (yield* finality.newest).hash })
    if (final !== undefined) return { record: final, isFinal: true } satisfies Known as Known
    return { record: yield* recordAt(handle, "latest"), isFinal: false } satisfies Known as Known
  })
  const record = (handle: Hex) =>
    Effect.map(
      remembered.get(handle, look(handle), (found) => found.isFinal && found.record !== undefined),
      (known) => known.record
    )
  return CiphertextRegistry.of({
    records: (handles) => rpc.together(Effect.forEach(handles, record, { concurrency: "unbounded" }))
  })
}

interface Known {
  readonly record: CiphertextRecord | undefined
  /** Read from a block that is final, so that no reorganisation changes it. */
  readonly isFinal: boolean
}

const factsIn = (answer: Hex) => {
  const [owner, digest, size, epoch] = registryInterface.decodeFunctionResult("recordOf", answer)
  return { owner: lower(String(owner)), digest: lower(String(digest)), sizeBytes: Number(size), epoch: Number(epoch) }
}

/**
 * Anybody may register bytes that are no UTF-8 as a location, and ethers throws at such a string. Read as bytes (the ABI writes
 * both alike) they become a text that names no store, and cost the handle that one location.
 */
const locationsIn = (answer: Hex): ReadonlyArray<string> => {
  const [locations] = AbiCoder.defaultAbiCoder().decode(["bytes[]"], answer)
  return [...(locations as Iterable<string>)].map((bytes) => Buffer.from(fromHex(bytes)).toString("utf8"))
}

const decode = <A>(handle: Hex, read: () => A) =>
  Effect.try({ try: read, catch: (cause) => new ChainUnavailable({ doing: `decode the record of ${handle}`, cause }) })

const unavailable = (handle: Hex, cause: unknown) =>
  Effect.fail(new ChainUnavailable({ doing: `read the record of ${handle}`, cause }))
