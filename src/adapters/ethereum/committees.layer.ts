/** Committee records. A record never changes but for being retired, so it is remembered for a while; an absence is not. */
import { Effect, Layer } from "effect"
import { Interface } from "ethers"
import type { Committee } from "../../domain/committee.ts"
import { keccakText } from "../../domain/abi-words.ts"
import { lower } from "../../domain/hex.ts"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import { Committees, EpochUnusable } from "../../journey/4-shares-collected/committee.port.ts"
import { type CacheBounds, Cache } from "../../resilience/cache.ts"
import { meterHere } from "../../resilience/cache-meter.ts"
import type { Contracts } from "./addresses.ts"
import { abi } from "./generated/CommitteeRegistry.ts"
import { abi as verifierAbi } from "./generated/IVerifier.ts"
import type { Rpc } from "./rpc.ts"

const registryInterface = new Interface(abi)
const verifierInterface = new Interface(verifierAbi)
export const SUITE = "portcullis/native/bls12-381/v1"
const SUITE_ID = keccakText(SUITE)
/** The age is how long a retirement may go unnoticed here; the contract and every node notice it at once. A record of 32 nodes has about 16 KiB,
 * and only epochs with open requests are asked for. */
const REMEMBERED: CacheBounds = { ageMsMax: 30_000, entriesMax: 64 }

/** Record and verifier from one endpoint. */
export const readCommittee = (rpc: Rpc, contracts: Contracts, epoch: number) => rpc.together(read(rpc, contracts, epoch))

const read = Effect.fnUntraced(function* (rpc: Rpc, contracts: Contracts, epoch: number) {
  const call = (to: typeof contracts.committeeRegistry, data: string) =>
    rpc.call(to, data, "latest").pipe(
      Effect.catchTag("CallReverted", () => Effect.fail(new EpochUnusable({ epoch, reason: "the committee registry does not know it" })))
    )
  const answer = yield* call(contracts.committeeRegistry, registryInterface.encodeFunctionData("committee", [epoch]))
  const [record, isRetired] = yield* decode(() => registryInterface.decodeFunctionResult("committee", answer))
  const verifier = lower(String(record.verifier))
  const [scheme] = yield* Effect.flatMap(call(verifier, verifierInterface.encodeFunctionData("scheme")), (said) =>
    decode(() => verifierInterface.decodeFunctionResult("scheme", said))
  )
  if (scheme !== "bls" && scheme !== "quorum") return yield* new EpochUnusable({ epoch, reason: `its verifier speaks "${String(scheme)}"` })
  if (lower(String(record.suite)) !== SUITE_ID) return yield* new EpochUnusable({ epoch, reason: `it does not speak ${SUITE}` })
  return yield* decode(() => ({
    epoch,
    suiteId: SUITE_ID,
    threshold: Number(record.threshold),
    decryptionKey: lower(String(record.decryptionKey)),
    attestationKey: lower(String(record.attestationKeyCompressed)),
    scheme,
    isRetired: Boolean(isRetired),
    nodes: [...record.nodes].map((node, index) => ({
      id: index + 1,
      identity: lower(String(node.identity)),
      endpoint: String(node.endpoint),
      decryptionKey: lower(String(node.decryptionVerificationKey)),
      attestationKey: lower(String(node.attestationVerificationKey))
    }))
  } satisfies Committee as Committee))
})

export const committeesLayer = (rpc: Rpc, contracts: Contracts) =>
  Layer.effect(
    Committees,
    Effect.map(meterHere("committees"), (meter) => {
      const remembered = new Cache<Committee, ChainUnavailable | EpochUnusable>(REMEMBERED, meter)
      const committee = (epoch: number) => remembered.get(String(epoch), readCommittee(rpc, contracts, epoch))
      return { committee, current: Effect.flatMap(currentEpoch(rpc, contracts), committee) }
    })
  )

const currentEpoch = (rpc: Rpc, contracts: Contracts) =>
  rpc.call(contracts.committeeRegistry, registryInterface.encodeFunctionData("currentEpoch"), "latest").pipe(
    Effect.flatMap((answer) => decode(() => Number(registryInterface.decodeFunctionResult("currentEpoch", answer)[0]))),
    Effect.catchTag("CallReverted", (cause) => Effect.fail(new ChainUnavailable({ doing: "currentEpoch", cause })))
  )

/** ethers decodes a text that is not UTF-8 only when it is looked at, and throws then: whatever is looked at belongs inside. */
const decode = <A>(thunk: () => A) =>
  Effect.try({ try: thunk, catch: (cause) => new ChainUnavailable({ doing: "committee: decode", cause }) })
