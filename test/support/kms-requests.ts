/** Requests about real ciphertexts, and what honest nodes and gateways make of them. */
import { createHash, randomBytes } from "node:crypto"
import type { Handle } from "../../src/domain/handle.ts"
import { fromHex, type Hex, toHex } from "../../src/domain/hex.ts"
import { type DecryptionRequest, requestIdOf } from "../../src/domain/request.ts"
import { type AttestedRoot, responseLeaf, resultHashOf } from "../../src/domain/response.ts"
import { encodeResult } from "../../src/threshold/result-encoding.ts"
import type { ShareAnswer } from "../../src/domain/share.ts"
import type { ResultToAttest } from "../../src/journey/4-shares-collected/share-node.port.ts"
import { openWithKey, parseCiphertext, sealCiphertext } from "../../src/threshold/ciphertext.ts"
import { combineOne } from "../../src/threshold/combine.ts"
import type { Bls12381Engine } from "../../src/threshold/engine.ts"
import { hashIdentity, identityBytes } from "../../src/threshold/identity.ts"
import { merkleRoot } from "../../src/threshold/merkle.ts"
import { randomSecret } from "../../src/threshold/scalar.ts"
import { signatureScheme } from "../../src/threshold/share.ts"
import { readCommitteeKeys } from "../../src/threshold/shared-key.ts"
import { encryptedKeyScheme, readTransportKey, transportKeyOf } from "../../src/threshold/transport.ts"
import type { ChainWorld } from "./chain-world.ts"

export interface Encrypted {
  readonly handle: Handle
  readonly ciphertext: Uint8Array
  readonly plaintext: Uint8Array
}

export const requestsOn = (engine: Bls12381Engine, world: ChainWorld) => {
  const keys = readCommitteeKeys(engine, world.committee)
  const identityFor = (handle: Handle) =>
    identityBytes({ chainId: world.view.chainId, registry: fromHex(world.view.registry), handle: fromHex(handle) })
  const hashedFor = (handle: Handle) => hashIdentity(engine, keys.decryption.publicKey.bytes, identityFor(handle))

  const encryptTo = (handle: Handle, plaintext: Uint8Array, epoch = world.committee.epoch): Uint8Array =>
    sealCiphertext(engine, { publicKey: keys.decryption.publicKey, epoch, identity: identityFor(handle) }, plaintext)

  const digestOf = (bytes: Uint8Array): Hex => toHex(createHash("sha256").update(bytes).digest())

  const combine = (request: DecryptionRequest, answers: ReadonlyArray<ShareAnswer>) =>
    request.handles.map((handle, index) => {
      const shares = answers.map((answer) => ({ nodeId: answer.nodeId, share: answer.shares[index]! }))
      if (request.kind === "public") {
        const combined = combineOne(engine, signatureScheme, keys.decryption, { statement: hashedFor(handle), shares })
        if (!("whole" in combined)) throw new TypeError(`liars: ${combined.liars.join(", ")}`)
        return { key: combined.whole }
      }
      const statement = { hashed: hashedFor(handle), transportKey: readTransportKey(engine, fromHex(request.transportKey)) }
      const combined = combineOne(engine, encryptedKeyScheme, keys.decryption, { statement, shares })
      if (!("whole" in combined)) throw new TypeError(`liars: ${combined.liars.join(", ")}`)
      return { encryptedKey: encryptedKeyScheme.write(engine, combined.whole) }
    })

  return {
    keys,
    hashedFor,
    encryptTo,
    digestOf,
    /** Encrypted, registered, and allowed to whom it is said. */
    publish: async (allowed: "public" | Hex | "nobody", plaintext: Uint8Array = randomText()): Promise<Encrypted> => {
      const salt = toHex(randomBytes(32))
      const handle = world.handleFor(salt)
      const ciphertext = encryptTo(handle, plaintext)
      await world.register(salt, digestOf(ciphertext), ciphertext.length)
      if (allowed === "public") await world.allowPublic(handle)
      else if (allowed !== "nobody") await world.allow(handle, allowed)
      return { handle, ciphertext, plaintext }
    },
    /** A fresh user's key: 48 bytes in hex. */
    transportKey: (): Hex => toHex(transportKeyOf(engine, randomSecret())),
    /** k honest answers become a result and what a node needs to check it. */
    resultOf: (
      request: DecryptionRequest,
      answers: ReadonlyArray<ShareAnswer>,
      values: ReadonlyArray<Encrypted>
    ): ResultToAttest => {
      const combined = combine(request, answers)
      const requestId = requestIdOf(request)
      if (request.kind === "user") {
        const items = combined.map((one) => ("encryptedKey" in one ? one.encryptedKey : new Uint8Array()))
        return { requestId, request, result: encodeResult(items), openings: [] }
      }
      const opened = combined.map((one, index) => {
        const { handle, ciphertext } = values[index]!
        if (!("key" in one)) throw new TypeError("a public key")
        return { ciphertext, ...openWithKey(engine, parseCiphertext(ciphertext), identityFor(handle), one.key) }
      })
      return {
        requestId,
        request,
        result: encodeResult(opened.map(({ plaintext }) => plaintext)),
        openings: opened.map(({ ciphertext, seed }) => ({ ciphertext, sigma: seed }))
      }
    }
  }
}

export const rootOf = (results: ReadonlyArray<ResultToAttest>): AttestedRoot => ({
  root: toHex(merkleRoot(results.map(({ requestId, result }) => fromHex(responseLeaf(requestId, resultHashOf(result)))))),
  count: results.length,
  epoch: results[0]!.request.epoch,
  expiry: Math.max(...results.map(({ request }) => request.deadline))
})

export const randomText = (): Uint8Array => new Uint8Array(Buffer.from(randomBytes(12).toString("hex")))
