import { randomBytes } from "node:crypto"
import { Contract, Signature, SigningKey, Wallet } from "ethers"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import * as quorumVerifier from "../../src/adapters/ethereum/generated/QuorumVerifier.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { quorumAttest, randomHex, startWorld, testCommittee, type World } from "./world.ts"

const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const THRESHOLD = 3

const joined = (...signatures: ReadonlyArray<string>) => `0x${signatures.map((signature) => signature.slice(2)).join("")}`
/** The same signature with its recovery id written as 0 or 1. */
const bare = (signature: Hex) => `${signature.slice(0, -2)}${signature.endsWith("1b") ? "00" : "01"}`

describe("QuorumVerifier", () => {
  const digest = randomHex(32)
  const keys = testCommittee("quorum", THRESHOLD, 5)
  const ordered = keys.identities.toSorted((a, b) => (BigInt(new Wallet(a).address) < BigInt(new Wallet(b).address) ? -1 : 1))
  let world: World
  let verifier: Contract
  beforeAll(async () => {
    // Works where there are no BLS precompiles.
    world = await startWorld("quorum", { hardfork: "cancun" }, keys)
    verifier = new Contract(world.deployment.addresses.quorumVerifier, quorumVerifier.abi, world.chain.provider)
  })
  afterAll(() => world.chain.stop())

  const verify = (attestation: string, epoch = 1): Promise<boolean> => verifier.getFunction("verify")(epoch, digest, attestation)
  const sign = (key: SigningKey): Hex => key.sign(digest).serialized as Hex

  test("accepts every set of k nodes", async () => {
    for (const [a, b, c] of [[0, 1, 2], [0, 2, 4], [2, 3, 4], [1, 3, 4]] as const) {
      expect(await verify(quorumAttest(digest, [keys.identities[a]!, keys.identities[b]!, keys.identities[c]!]))).toBe(true)
    }
  })

  test("wants exactly k signatures", async () => {
    expect(await verify(quorumAttest(digest, keys.identities.slice(0, THRESHOLD - 1)))).toBe(false)
    expect(await verify(quorumAttest(digest, keys.identities.slice(0, THRESHOLD + 1)))).toBe(false)
    expect(await verify("0x")).toBe(false)
    expect(await verify(`${quorumAttest(digest, keys.identities.slice(0, THRESHOLD))}00`)).toBe(false)
  })

  test("counts nobody twice", async () => {
    const [a, b] = ordered.map(sign) as [Hex, Hex]
    expect(await verify(joined(a, b, b))).toBe(false)
    expect(await verify(joined(a, a, b))).toBe(false)
  })

  test("wants ascending signers", async () => {
    const [a, b, c] = ordered.map(sign) as [Hex, Hex, Hex]
    expect(await verify(joined(a, b, c))).toBe(true)
    expect(await verify(joined(b, a, c))).toBe(false)
    expect(await verify(joined(c, b, a))).toBe(false)
  })

  test("refuses a stranger among the signers, and a signature over something else", async () => {
    const [a, b] = keys.identities as [SigningKey, SigningKey]
    expect(await verify(quorumAttest(digest, [a, b, new SigningKey(randomBytes(32))]))).toBe(false)
    const others = ordered.slice(0, 2).map(sign)
    expect(await verify(joined(...others, ordered[2]!.sign(randomHex(32)).serialized))).toBe(false)
  })

  test("refuses the malleated twin of a good signature", async () => {
    const [a, b, c] = ordered.slice(0, 3).map((key) => key.sign(digest)) as [Signature, Signature, Signature]
    const s = (N - BigInt(b.s)).toString(16).padStart(64, "0")
    const twin = `${b.r}${s}${b.v === 27 ? "1c" : "1b"}`
    expect(await verify(joined(a.serialized, b.serialized, c.serialized))).toBe(true)
    expect(await verify(joined(a.serialized, twin, c.serialized))).toBe(false)
  })

  test("refuses v of 0 or 1, and a signature of zeros", async () => {
    const signatures = ordered.slice(0, 3).map(sign)
    expect(await verify(joined(bare(signatures[0]!), signatures[1]!, signatures[2]!))).toBe(false)
    expect(await verify(`0x${"00".repeat(65 * THRESHOLD)}`)).toBe(false)
  })

  test("answers false for an epoch nobody registered", async () => {
    expect(await verify(quorumAttest(digest, keys.identities.slice(0, THRESHOLD)), 2)).toBe(false)
    expect(await verify("0x", 2)).toBe(false)
  })
})
