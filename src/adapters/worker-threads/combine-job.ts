/**
 * What a worker does: plain data in, plain data out, one committee at a time. All combinations of a job are verified by
 * one equation; who lied is found here, and others' answers stand in, before anything goes back.
 */
import assert from "node:assert/strict"
import type { Committee, NodeId } from "../../domain/committee.ts"
import { fromHex, type Hex } from "../../domain/hex.ts"
import type { Combined, CombinedAttestation, CombineTask } from "../../journey/5-threshold-verified/combiner.port.ts"
import { combineAttestation } from "../../threshold/attest.ts"
import { CiphertextRejected } from "../../threshold/ciphertext-rejected.ts"
import { openWithKey, parseCiphertext } from "../../threshold/ciphertext.ts"
import { combineAll, type Answered, type Combined as CombinedShares } from "../../threshold/combine.ts"
import type { Bls12381Engine, G1Point } from "../../threshold/engine.ts"
import { hashIdentity, identityBytes } from "../../threshold/identity.ts"
import { PointRejected } from "../../threshold/point-rejected.ts"
import { encodeResult } from "../../threshold/result-encoding.ts"
import { signatureScheme } from "../../threshold/share.ts"
import { readCommitteeKeys, type SharedKey } from "../../threshold/shared-key.ts"
import { type EncryptedKey, encryptedKeyScheme, readTransportKey, type TransportStatement } from "../../threshold/transport.ts"

export type CombinerJob =
  | { readonly type: "combine"; readonly committee: Committee; readonly tasks: ReadonlyArray<CombineTask> }
  | {
      readonly type: "attest"
      readonly committee: Committee
      readonly digest: Hex
      readonly parts: ReadonlyArray<{ readonly nodeId: NodeId; readonly part: Uint8Array }>
    }

export type CombinerJobResult = ReadonlyArray<Combined> | CombinedAttestation

/** One request on its way through the rounds. */
interface Course {
  readonly task: CombineTask
  /** Identity and H(id) of each handle. */
  readonly handles: ReadonlyArray<{ readonly identity: Uint8Array; readonly hashed: G1Point }>
  readonly transportKey: G1Point | undefined
  readonly liars: Set<NodeId>
  /** Verified: a key for each handle (public) or an encrypted key for each handle (user). */
  wholes: ReadonlyArray<G1Point> | ReadonlyArray<EncryptedKey> | undefined
  nodes: ReadonlyArray<NodeId>
  result: Combined | undefined
}

const KNOWN_COMMITTEES_MAX = 16

/** The jobs on one engine. Committee keys are read and checked once and remembered: a committee lives for months. */
export const combinerJobs = (engine: Bls12381Engine): ((job: CombinerJob) => CombinerJobResult) => {
  const known = new Map<string, ReturnType<typeof readCommitteeKeys>>()
  const keysOf = (committee: Committee): ReturnType<typeof readCommitteeKeys> => {
    const name = JSON.stringify([
      committee.threshold,
      committee.decryptionKey,
      committee.attestationKey,
      committee.nodes.map((node) => [node.id, node.decryptionKey, node.attestationKey])
    ])
    const found = known.get(name)
    if (found !== undefined) return found
    const keys = readCommitteeKeys(engine, committee)
    if (known.size === KNOWN_COMMITTEES_MAX) known.delete(known.keys().next().value!)
    known.set(name, keys)
    return keys
  }
  return (job) => {
    const keys = keysOf(job.committee)
    return job.type === "combine" ? combine(engine, keys.decryption, job.tasks) : attest(engine, keys.attestation, job)
  }
}

const combine = (engine: Bls12381Engine, key: SharedKey, tasks: ReadonlyArray<CombineTask>): ReadonlyArray<Combined> => {
  const courses = tasks.map((task) => startCourse(engine, key, task))
  for (;;) {
    const open = courses.filter((course) => course.result === undefined && course.wholes === undefined)
    const asked = open.filter((course) => chooseNodes(course, key.threshold))
    if (asked.length === 0) break
    round(engine, key, asked)
  }
  return courses.map((course) => course.result ?? finish(engine, course))
}

const startCourse = (engine: Bls12381Engine, key: SharedKey, task: CombineTask): Course => {
  const { request } = task
  const course: Course = {
    task,
    handles: request.handles.map((handle) => {
      const identity = identityBytes({ chainId: request.chainId, registry: fromHex(task.registry), handle: fromHex(handle) })
      return { identity, hashed: hashIdentity(engine, key.publicKey.bytes, identity) }
    }),
    transportKey: request.kind === "user" ? transportKeyOf(engine, request.transportKey) : undefined,
    // An answer without a share for each handle is no answer; the pinned identity signed it all the same.
    liars: new Set(task.answers.filter(({ shares }) => shares.length !== request.handles.length).map(({ nodeId }) => nodeId)),
    wholes: undefined,
    nodes: [],
    result: undefined
  }
  if (request.kind === "user" && course.transportKey === undefined) course.result = { type: "transport-key-invalid" }
  return course
}

const transportKeyOf = (engine: Bls12381Engine, key: Hex): G1Point | undefined => {
  try {
    return readTransportKey(engine, fromHex(key))
  } catch (error) {
    if (error instanceof PointRejected) return undefined
    throw error
  }
}

/** The first k that have not lied; says whether there are so many. */
const chooseNodes = (course: Course, threshold: number): boolean => {
  const honest = course.task.answers.filter((answer) => !course.liars.has(answer.nodeId))
  if (honest.length < threshold) {
    course.result = { type: "too-few", liars: [...course.liars] }
    return false
  }
  course.nodes = honest.slice(0, threshold).map((answer) => answer.nodeId)
  return true
}

/** Combines everything that is open, all of one kind by one equation, and takes the wholes or notes the liars. */
const round = (engine: Bls12381Engine, key: SharedKey, courses: ReadonlyArray<Course>): void => {
  const forPublic = courses.filter((course) => course.transportKey === undefined)
  const forUser = courses.filter((course) => course.transportKey !== undefined)
  take(
    forPublic,
    combineAll(engine, signatureScheme, key, forPublic.flatMap((course) => answersOf(course, (hashed) => hashed)))
  )
  take(
    forUser,
    combineAll(
      engine,
      encryptedKeyScheme,
      key,
      forUser.flatMap((course) =>
        answersOf(course, (hashed): TransportStatement => ({ hashed, transportKey: course.transportKey! }))
      )
    )
  )
}

const answersOf = <Statement>(course: Course, statementOf: (hashed: G1Point) => Statement): ReadonlyArray<Answered<Statement>> =>
  course.handles.map(({ hashed }, index) => ({
    statement: statementOf(hashed),
    shares: course.nodes.map((nodeId) => ({
      nodeId,
      share: course.task.answers.find((answer) => answer.nodeId === nodeId)!.shares[index]!
    }))
  }))

const take = <Part extends G1Point | EncryptedKey>(
  courses: ReadonlyArray<Course>,
  results: ReadonlyArray<CombinedShares<Part>>
): void => {
  let at = 0
  for (const course of courses) {
    const mine = results.slice(at, at + course.handles.length)
    at += course.handles.length
    const wholes = mine.flatMap((result) => ("whole" in result ? [result.whole] : []))
    if (wholes.length === mine.length) course.wholes = wholes as unknown as NonNullable<Course["wholes"]>
    for (const result of mine) if ("liars" in result) for (const liar of result.liars) course.liars.add(liar)
  }
}

const finish = (engine: Bls12381Engine, course: Course): Combined => {
  const { task, nodes, wholes } = course
  assert(wholes !== undefined, "a course that is over has its wholes")
  const liars = [...course.liars]
  if (course.transportKey !== undefined) {
    const keys = wholes as ReadonlyArray<EncryptedKey>
    return { type: "user", result: encodeResult(keys.map((whole) => encryptedKeyScheme.write(engine, whole))), nodes, liars }
  }
  assert(task.ciphertexts.length === course.handles.length, "a public task brings the ciphertext of each handle")
  const plaintexts: Array<Uint8Array> = []
  const sigmas: Array<Uint8Array> = []
  for (const [index, { identity }] of course.handles.entries()) {
    try {
      const ciphertext = parseCiphertext(task.ciphertexts[index]!)
      if (ciphertext.epoch !== task.request.epoch) throw new CiphertextRejected({ reason: "wrong epoch" })
      const opened = openWithKey(engine, ciphertext, identity, (wholes as ReadonlyArray<G1Point>)[index]!)
      plaintexts.push(opened.plaintext)
      sigmas.push(opened.seed)
    } catch (error) {
      if (!(error instanceof CiphertextRejected)) throw error
      return { type: "ciphertext-malformed", handle: task.request.handles[index]!, reason: error.reason, liars }
    }
  }
  return { type: "public", result: encodeResult(plaintexts), sigmas, nodes, liars }
}

const attest = (engine: Bls12381Engine, key: SharedKey, job: Extract<CombinerJob, { type: "attest" }>): CombinedAttestation => {
  const liars = new Set<NodeId>()
  for (;;) {
    const honest = job.parts.filter((part) => !liars.has(part.nodeId)).slice(0, key.threshold)
    if (honest.length < key.threshold) return { type: "too-few", liars: [...liars] }
    const shares = honest.map(({ nodeId, part }) => ({ nodeId, share: part }))
    const combined = combineAttestation(engine, key, fromHex(job.digest), shares)
    if ("attestation" in combined) return { type: "attested", attestation: combined.attestation.forChain, liars: [...liars] }
    for (const liar of combined.liars) liars.add(liar)
  }
}
