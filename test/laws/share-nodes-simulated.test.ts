/** The simulator's KMS nodes, held to what real ones are held to. Their mathematics and signatures hide nothing (stand-in-mathematics.ts), and
 * combine, blame and refuse as the real ones do. They attest by BLS only. */
import { Effect } from "effect"
import { Process } from "../../chaos/simulator/event-loop.ts"
import { shareNodes, type KmsWay } from "../../chaos/simulator/kms/share-nodes.ts"
import { simCombiner } from "../../chaos/simulator/kms/sim-combiner.ts"
import { signatureOf, type SimCiphertext } from "../../chaos/simulator/kms/sim-committee.ts"
import { SimKmsNode } from "../../chaos/simulator/kms/sim-kms-node.ts"
import { encodeElement } from "../../chaos/simulator/kms/stand-in-mathematics.ts"
import type { Handle } from "../../src/domain/handle.ts"
import { toHex } from "../../src/domain/hex.ts"
import type { DecryptionRequest } from "../../src/domain/request.ts"
import type { ShareAnswer } from "../../src/domain/share.ts"
import { Combiner } from "../../src/journey/5-threshold-verified/combiner.port.ts"
import { random32, randomAddress } from "../support/ledger-world.ts"
import { SimulatedChain } from "../support/simulated-chain.ts"
import { shareNodesLaws } from "./share-nodes.laws.ts"

const FINAL = 2
const ACCOUNT = randomAddress()

shareNodesLaws("the simulator's nodes", async () => {
  const world = new SimulatedChain()
  const { committee, requester, gateway, endpoint, chance } = world
  const ciphertexts = new Map<Handle, SimCiphertext>()
  const clock = new Process("kms", world.world.loop, chance)
  const ways = new Map(
    committee.record.nodes.map((node): [string, KmsWay] => {
      const there = new SimKmsNode(node.id, clock, committee, ciphertexts, endpoint)
      return [node.endpoint, { there, link: world.link(node.endpoint) }]
    })
  )
  const combiner = Effect.runSync(Effect.provide(Combiner, simCombiner(committee, Effect.sync, () => undefined)))

  const registered = (handles: number) =>
    Array.from({ length: handles }, () => {
      const handle = random32()
      ciphertexts.set(handle, committee.encrypt(handle, requester, ["main"], chance))
      return handle
    })
  const asked = async (over: Partial<DecryptionRequest>) => {
    const { id, facts: request } = await world.requested(over)
    await world.mine(FINAL)
    const bytes = request.kind === "public" ? request.handles.map((handle) => ciphertexts.get(handle)!.bytes) : []
    const resultOf = (answers: ReadonlyArray<ShareAnswer>) => {
      const [combined] = Effect.runSync(combiner.combine(committee.record, [{ requestId: id, request, registry: gateway, answers, ciphertexts: bytes }]))
      if (combined === undefined || !("result" in combined)) throw new TypeError(`it is ${combined?.type}`)
      const sigmas = "sigmas" in combined ? combined.sigmas : []
      return { requestId: id, request, result: combined.result, openings: sigmas.map((sigma, index) => ({ ciphertext: bytes[index]!, sigma })) }
    }
    return { id, request, resultOf }
  }
  const permitted = async (handles: ReadonlyArray<Handle>, whom: string) => {
    for (const handle of handles) await world.permit(`${whom} ${handle}`, true)
    return handles
  }
  return {
    layer: shareNodes((at) => ways.get(at)),
    committee: committee.record,
    version: "simulated",
    publicRequest: async (handles) => asked({ handles: await permitted(registered(handles), "public") }),
    userRequest: async (handles) =>
      asked({
        kind: "user",
        requester: ACCOUNT,
        account: ACCOUNT,
        handles: await permitted(registered(handles), ACCOUNT),
        transportKey: toHex(encodeElement(BigInt(chance.uint32()) + 1n, 48))
      }),
    closedRequest: () => asked({ handles: registered(1) }),
    isSignedBy: (identity, digest, signature) => Buffer.compare(signatureOf(identity, digest), signature) === 0,
    isPartOf: (node, digest, part) => Buffer.compare(committee.attestationPart(node, digest), part) === 0,
    nowhere: "k9",
    foundOut: "by its answer",
    breakDown: (isDown) => void (endpoint.isDown = isDown),
    nowMs: () => clock.loop.nowMs,
    close: async () => world.stop()
  }
})
