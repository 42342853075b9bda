/** Node identities sign as Ethereum does: ethers and the chain's ecrecover understand them, and one digest has one signature. */
import { randomBytes } from "node:crypto"
import { computeAddress, recoverAddress, Signature, SigningKey, TypedDataEncoder, verifyTypedData } from "ethers"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { lower, toHex } from "../../src/domain/hex.ts"
import { attestationDigest, shareAnswerDigest } from "../../src/domain/response.ts"
import { keccak } from "../../src/domain/abi-words.ts"
import { identityOf, identityVerifier, recoverIdentity, signDigest } from "../../src/kms-node/identity-signature.ts"

const secrets = fc.uint8Array({ minLength: 32, maxLength: 32 }).filter((bytes) => identityOf(bytes) !== undefined)
const digests = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex)
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

test("addresses are Ethereum's, and no address belongs to bytes that are no key", () => {
  const agrees = fc.property(secrets, (secret) => {
    expect(identityOf(secret)).toBe(lower(computeAddress(toHex(secret))))
  })
  fc.assert(agrees, { numRuns: 20 })
  for (const none of [new Uint8Array(32), new Uint8Array(31), Buffer.from(N.toString(16), "hex")])
    expect(identityOf(none)).toBeUndefined()
})

test("ethers signs the same digest to the same bytes, and recovers the signer", () =>
  fc.assert(
    fc.property(secrets, digests, (secret, digest) => {
      const signature = signDigest(secret, digest)
      expect(toHex(signature)).toBe(new SigningKey(toHex(secret)).sign(digest).serialized)
      expect(lower(recoverAddress(digest, toHex(signature)))).toBe(identityOf(secret))
      expect(recoverIdentity(digest, signature)).toBe(identityOf(secret))
    }),
    { numRuns: 25 }
  ))

test("the digests are those of EIP-712 as ethers encodes them", () => {
  const chainId = 31_337n
  const gateway = toHex(randomBytes(20))
  const [requestId, root] = [toHex(randomBytes(32)), toHex(randomBytes(32))]
  const shares = [randomBytes(48), randomBytes(48)]
  expect(shareAnswerDigest({ chainId, gateway }, { requestId, epoch: 7, nodeId: 3, shares })).toBe(
    TypedDataEncoder.hash(
      { name: "Portcullis KMS", version: "1", chainId, verifyingContract: gateway },
      { ShareAnswer: ["requestId bytes32", "epoch uint32", "nodeId uint32", "sharesHash bytes32"].map(field) },
      { requestId, epoch: 7, nodeId: 3, sharesHash: keccak(...shares) }
    )
  )
  const attested = { root, count: 3, epoch: 7, expiry: 1_800_000_000 }
  const types = { Attestation: ["root bytes32", "count uint32", "epoch uint32", "expiry uint64"].map(field) }
  const domain = { name: "Portcullis", version: "1", chainId, verifyingContract: gateway }
  const secret = randomBytes(32)
  const signature = toHex(signDigest(secret, attestationDigest({ chainId, gateway }, attested)))
  expect(lower(verifyTypedData(domain, types, attested, signature))).toBe(identityOf(secret))
})

const field = (text: string) => {
  const [name = "", type = ""] = text.split(" ")
  return { name, type }
}

describe("checking many signatures of one identity", () => {
  test("agrees with recovering each of them, from the first on", () => {
    const verify = identityVerifier()
    const known = [randomBytes(32), randomBytes(32)] as const
    fc.assert(
      fc.property(fc.nat(1), fc.nat(1), digests, digests, fc.boolean(), (claimed, signer, digest, other, isOther) => {
        const signature = signDigest(known[signer]!, isOther ? other : digest)
        const identity = identityOf(known[claimed]!)!
        expect(verify(identity, digest, signature)).toBe(recoverIdentity(digest, signature) === identity)
      }),
      { numRuns: 60 }
    )
  })

  test("refuses every altered byte and every other form, before and after it knows the key", () => {
    const [secret, digest] = [randomBytes(32), toHex(randomBytes(32))]
    const identity = identityOf(secret)!
    const signature = signDigest(secret, digest)
    const { r, s, v } = Signature.from(toHex(signature))
    const mirrored = Buffer.concat([
      Buffer.from(r.slice(2), "hex"),
      Buffer.from((N - BigInt(s)).toString(16).padStart(64, "0"), "hex"),
      Buffer.of(v === 27 ? 28 : 27)
    ])
    const altered = Array.from(signature, (_, at) =>
      Uint8Array.from(signature, (byte, index) => (index === at ? byte ^ 1 : byte))
    )
    const otherParity = Uint8Array.from(signature, (byte, index) => (index === 64 ? 55 - byte : byte))
    const forms = [
      mirrored,
      otherParity,
      signature.subarray(1),
      Buffer.concat([signature, Buffer.of(0)]),
      new Uint8Array(65),
      new Uint8Array()
    ]
    const verify = identityVerifier()
    for (const bad of forms) expect(verify(identity, digest, bad)).toBe(false)
    for (const bad of altered) expect(verify(identity, digest, bad)).toBe(false)
    expect(verify(identity, digest, signature)).toBe(true)
    expect(verify(identity, digest, signature)).toBe(true)
    for (const bad of [...forms, ...altered]) {
      expect(verify(identity, digest, bad)).toBe(false)
      expect(recoverIdentity(digest, bad)).not.toBe(identity)
    }
  })

  test("keeps a bounded number of keys and forgets none of the rights of those it dropped", () => {
    const verify = identityVerifier()
    const digest = toHex(randomBytes(32))
    const all = Array.from({ length: 66 }, () => randomBytes(32)).map((secret) => ({
      identity: identityOf(secret)!,
      signature: signDigest(secret, digest)
    }))
    for (const { identity, signature } of all) expect(verify(identity, digest, signature)).toBe(true)
    expect(verify(all[0]!.identity, digest, all[0]!.signature)).toBe(true)
    expect(verify(all[0]!.identity, digest, all[1]!.signature)).toBe(false)
  })
})
