/**
 * How a node misbehaves when tests and chaos ask it to. Reached only through an explicit option at start, and never by a node
 * that was told it is in production. The faults use nothing that a malicious operator would not have.
 */
import { createHash, randomBytes } from "node:crypto"
import { Effect } from "effect"
import { fromHex } from "../domain/hex.ts"
import type { DecryptionRequest } from "../domain/request.ts"
import { shareAnswerDigest } from "../domain/response.ts"
import type { ShareAnswer } from "../domain/share.ts"
import type { Bls12381Engine } from "../threshold/engine.ts"
import { secretFromWideBytes } from "../threshold/scalar.ts"
import { makeEncryptedShare, readTransportKey } from "../threshold/transport.ts"
import type { AttestAnswer } from "./attest-results.ts"
import { refuse } from "./refusal.ts"
import type { ShareVault } from "./share-vault.port.ts"

/**
 * `wrong-share`: well-formed, signed and wrong, always the same. `equivocate`: the same with other bytes each time. `malformed`:
 * signed bytes that are no points. `silent`: never answers. `refuse`: says that nobody is allowed anything. `throttle`: says that
 * it has too much to do. `broken`: an error of its own. `oversized`: far more bytes than any answer has.
 */
export const NODE_FAULTS = ["wrong-share", "equivocate", "malformed", "silent", "refuse", "throttle", "broken", "oversized"] as const
export type NodeFault = (typeof NODE_FAULTS)[number]

type Vault = ShareVault["Service"]

/** Twice what gRPC takes when nobody says otherwise. */
const OVERSIZED_BYTES = 8 * 1024 * 1024

/** Faults that answer nothing at all, whatever was asked. */
const unanswered = (fault: NodeFault): Effect.Effect<never, ReturnType<typeof refuse>> | undefined => {
  if (fault === "silent") return Effect.never
  if (fault === "refuse") return Effect.fail(refuse("not-allowed", "nobody is allowed anything"))
  if (fault === "throttle") return Effect.fail(refuse("too-many-requests", "this node misbehaves on order"))
  return fault === "broken" ? Effect.die(new TypeError("this node misbehaves on order")) : undefined
}

const wrongPoint = (engine: Bls12381Engine, seed: Uint8Array) => engine.hashToG1(seed, "PORTCULLIS_FAULT_XMD:SHA-256_SSWU_RO_")

const wrongShare = (engine: Bls12381Engine, request: DecryptionRequest, requestId: Uint8Array, seed: Uint8Array): Uint8Array => {
  const hashed = wrongPoint(engine, seed)
  if (request.kind === "public") return engine.encodeG1(hashed)
  const transportKey = readTransportKey(engine, fromHex(request.transportKey))
  const secret = secretFromWideBytes(new Uint8Array(createHash("sha384").update(seed).digest()))
  return makeEncryptedShare(engine, { secret, hashed, transportKey, requestId, handle: seed })
}

const falseShare =
  (fault: NodeFault, engine: Bls12381Engine, request: DecryptionRequest, honest: ShareAnswer) => (share: Uint8Array) => {
    if (fault === "malformed") return new Uint8Array(share.length).fill(0x5a)
    if (fault === "oversized") return new Uint8Array(OVERSIZED_BYTES)
    const id = fromHex(honest.requestId)
    return wrongShare(engine, request, id, fault === "equivocate" ? new Uint8Array(randomBytes(32)) : id)
  }

/** What the faulty node says in place of its honest answer. */
export const spoilShare = (
  fault: NodeFault,
  engine: Bls12381Engine,
  vault: Vault,
  request: DecryptionRequest,
  honest: ShareAnswer
): Effect.Effect<ShareAnswer, ReturnType<typeof refuse>> => {
  const none = unanswered(fault)
  if (none !== undefined) return none
  return Effect.sync(() => {
    const unsigned = { ...honest, shares: honest.shares.map(falseShare(fault, engine, request, honest)) }
    return { ...unsigned, signature: vault.signDigest(shareAnswerDigest(request, unsigned)) }
  })
}

export const spoilAttestation = (
  fault: NodeFault,
  engine: Bls12381Engine,
  honest: AttestAnswer
): Effect.Effect<AttestAnswer, ReturnType<typeof refuse>> => {
  const none = unanswered(fault)
  if (none !== undefined) return none
  if (fault === "oversized") return Effect.succeed({ ...honest, part: new Uint8Array(OVERSIZED_BYTES) })
  if (fault === "malformed" || honest.part.length !== 48)
    return Effect.succeed({ ...honest, part: new Uint8Array(honest.part.length).fill(0x5a) })
  return Effect.sync(() => ({
    ...honest,
    part: engine.encodeG1(wrongPoint(engine, fault === "equivocate" ? new Uint8Array(randomBytes(32)) : fromHex(honest.root)))
  }))
}
