/** The combiner on stand-in mathematics, with the same outcomes as combine-job.ts: the first k are combined, a wrong whole is blamed on those
 * whose shares are wrong, others stand in, and who is left without k answers has too few. */
import { type Effect, Layer } from "effect"
import type { Committee, NodeId } from "../../../src/domain/committee.ts"
import { Combiner, type Combined, type CombinedAttestation, type CombineTask } from "../../../src/journey/5-threshold-verified/combiner.port.ts"
import { encodeResult } from "../../../src/threshold/result-encoding.ts"
import { encodeElement, open, shareBytesOf, statementOf, type DealtKey } from "./stand-in-mathematics.ts"
import type { SimCommittee } from "./sim-committee.ts"

interface Answer {
  readonly nodeId: NodeId
  readonly shares: ReadonlyArray<Uint8Array>
}

/** One whole for each statement, by answers that have not lied. */
const combineAll = (key: DealtKey, statements: ReadonlyArray<string>, answers: ReadonlyArray<Answer>) => {
  const liars = new Set(answers.filter(({ shares }) => shares.length !== statements.length).map(({ nodeId }) => nodeId))
  for (;;) {
    const chosen = answers.filter(({ nodeId }) => !liars.has(nodeId)).slice(0, key.threshold)
    if (chosen.length < key.threshold) return { liars: [...liars] }
    const wholes = statements.map((_, index) => key.combine(chosen.map(({ nodeId, shares }) => ({ node: nodeId, share: shares[index]! }))))
    if (wholes.every((whole, index) => whole === key.wholeOf(statements[index]!))) {
      return { wholes: wholes as ReadonlyArray<bigint>, nodes: chosen.map(({ nodeId }) => nodeId), liars: [...liars] }
    }
    for (const { nodeId, shares } of chosen) {
      if (statements.some((statement, index) => !key.isRight(nodeId, statement, shares[index]!))) liars.add(nodeId)
    }
  }
}

const combineOne = (committee: SimCommittee, { request, answers, ciphertexts }: CombineTask): Combined => {
  const statements = request.handles.map((handle) => statementOf(handle, request.transportKey))
  const { wholes, nodes, liars } = combineAll(committee.decryption, statements, answers)
  if (wholes === undefined) return { type: "too-few", liars }
  if (request.kind === "user") {
    return { type: "user", result: encodeResult(wholes.map((whole) => encodeElement(whole, shareBytesOf("user")))), nodes, liars }
  }
  const plaintexts: Array<Uint8Array> = []
  for (const [index, whole] of wholes.entries()) {
    const plain = open(whole, ciphertexts[index]!)
    if (plain === undefined) return { type: "ciphertext-malformed", handle: request.handles[index]!, reason: "does not open", liars }
    plaintexts.push(plain)
  }
  return { type: "public", result: encodeResult(plaintexts), sigmas: wholes.map((whole) => encodeElement(whole, 32)), nodes, liars }
}

const combineParts = (committee: SimCommittee, digest: string, parts: ReadonlyArray<{ readonly nodeId: NodeId; readonly part: Uint8Array }>): CombinedAttestation => {
  const answers = parts.map(({ nodeId, part }) => ({ nodeId, shares: [part] }))
  const { wholes, liars } = combineAll(committee.attestation, [digest], answers)
  return wholes === undefined
    ? { type: "too-few", liars }
    : { type: "attested", attestation: encodeElement(wholes[0]!, 128), liars }
}

/** `work` takes the time that a worker thread takes. */
export const simCombiner = (committee: SimCommittee, work: <A>(job: () => A) => Effect.Effect<A>, onFalsePart: () => void) =>
  Layer.succeed(Combiner, {
    combine: (_record: Committee, tasks) => work(() => tasks.map((task) => combineOne(committee, task))),
    combineAttestation: (_record, digest, parts) => 
      work(() => {
        const combined = combineParts(committee, digest, parts)
        if (combined.liars.length > 0) onFalsePart()
        return combined
      })
  })
