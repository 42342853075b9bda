import { randomBytes } from "node:crypto"
import { bls12_381 } from "@noble/curves/bls12-381.js"
import { type Contract, Wallet } from "ethers"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { committeeForChain } from "../../src/adapters/ethereum/deploy.ts"
import { g2ForChain } from "../../src/adapters/ethereum/eip2537.ts"
import { toHex } from "../../src/domain/hex.ts"
import { refusalOf } from "./reverts.ts"
import { startWorld, SUITE_ID, testCommittee, type World } from "./world.ts"

type ChainCommittee = ReturnType<typeof committeeForChain>

const ZERO_ADDRESS = `0x${"00".repeat(20)}`
const UNCOMPRESSED = `0x${"01".repeat(96)}`
const ZEROS = `0x${"00".repeat(256)}`
const INFINITY = `0xc0${"00".repeat(95)}`
/** The first coordinate with a bit above the 48 bytes it may have. */
const tooLong = (point: Uint8Array) => `0x01${toHex(point).slice(4)}`
/** One node, changed, and a threshold that it can reach. */
const oneNode = (of: ChainCommittee, change: object) => ({ ...of, threshold: 1, nodes: [{ ...of.nodes[0], ...change }] })

describe("CommitteeRegistry", () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld("bls")
  })
  afterAll(() => world.chain.stop())

  const ask = (name: string, ...args: ReadonlyArray<unknown>) => world.committees.getFunction(name)(...args)
  const send = (name: string, ...args: ReadonlyArray<unknown>) => world.chain.mined(ask(name, ...args))
  const committee = (k = 2, n = 3): ChainCommittee =>
    committeeForChain(testCommittee("bls", k, n).committee, world.deployment.addresses.blsVerifier)
  const refusal = (of: unknown) => refusalOf(world.committees, world.committees.getFunction("register").staticCall(of))

  test("returns the whole record of an epoch", async () => {
    const { committee: known } = world.keys
    const [record, retired] = await ask("committee", 1)
    expect(retired).toBe(false)
    expect(record.suite).toBe(SUITE_ID)
    expect(record.threshold).toBe(2n)
    expect(record.verifier.toLowerCase()).toBe(world.deployment.addresses.blsVerifier)
    expect(record.decryptionKey).toBe(known.decryptionKey)
    expect(record.attestationKeyCompressed).toBe(known.attestationKey)
    expect(record.attestationKey).toBe(toHex(g2ForChain(Buffer.from(known.attestationKey.slice(2), "hex"))))
    expect(record.nodes.map((node: { readonly identity: string }) => node.identity.toLowerCase())).toEqual(
      known.nodes.map((node) => node.identity)
    )
    expect(record.nodes.map((node: { readonly endpoint: string }) => node.endpoint)).toEqual(
      known.nodes.map((node) => node.endpoint)
    )
    expect(record.nodes[2].decryptionVerificationKey).toBe(known.nodes[2]!.decryptionKey)
    expect(record.nodes[2].attestationVerificationKey).toBe(known.nodes[2]!.attestationKey)
  })

  test("holds 32 nodes with the longest endpoints, their signers in ascending order", async () => {
    const large = committee(17, 32)
    const nodes = large.nodes.map((node) => ({ ...node, endpoint: "e".repeat(128) }))
    const before = Number(await ask("latestEpoch"))
    await send("register", { ...large, nodes })
    expect(await ask("latestEpoch")).toBe(BigInt(before + 1))
    const [record] = await ask("committee", before + 1)
    expect(record.nodes.length).toBe(32)
    expect(record.nodes[31].endpoint).toBe("e".repeat(128))
    const [threshold, identities] = await ask("signersOf", before + 1)
    const sorted = nodes.map((node) => node.identity).toSorted((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1))
    expect(threshold).toBe(17n)
    expect(identities.map((identity: string) => identity.toLowerCase())).toEqual(sorted)
  })

  test("goes back to the newest epoch that is left when the current one is retired", async () => {
    const first = Number(await ask("latestEpoch"))
    await send("register", committee())
    await send("register", committee())
    await send("retire", first + 1)
    expect(await ask("currentEpoch")).toBe(BigInt(first + 2))
    await send("retire", first + 2)
    expect(await ask("currentEpoch")).toBe(BigInt(first))
    expect(await ask("isActive", first + 2)).toBe(false)
    expect(await ask("verifierOf", first + 2)).toBe(ZERO_ADDRESS)
    expect((await ask("committee", first + 2))[1]).toBe(true)
    const again = await refusalOf(world.committees, world.committees.getFunction("retire").staticCall(first + 2))
    expect(again.name).toBe("AlreadyRetired")
  })

  test("knows nothing of an epoch that was never registered", async () => {
    expect(await ask("isActive", 999)).toBe(false)
    expect(await ask("verifierOf", 999)).toBe(ZERO_ADDRESS)
    expect([...(await ask("signersOf", 999))[1]]).toEqual([])
    for (const name of ["committee", "attestationKeyOf"]) {
      expect(await refusalOf(world.committees, ask(name, 999))).toEqual({ name: "UnknownEpoch", args: [999n] })
    }
  })

  test.each<[string, string, (of: ChainCommittee) => unknown]>([
    ["no suite", "InvalidSuite", (of) => ({ ...of, suite: `0x${"00".repeat(32)}` })],
    ["a verifier without code", "InvalidVerifier", (of) => ({ ...of, verifier: Wallet.createRandom().address })],
    ["threshold 0", "ThresholdOutOfRange", (of) => ({ ...of, threshold: 0 })],
    ["a threshold above the nodes", "ThresholdOutOfRange", (of) => ({ ...of, threshold: 4 })],
    ["no nodes", "NodeCountOutOfRange", (of) => ({ ...of, nodes: [] })],
    ["33 nodes", "NodeCountOutOfRange", (of) => ({ ...of, nodes: Array(33).fill(of.nodes[0]) })],
    ["two nodes with one identity", "InvalidIdentity", (of) => ({ ...of, nodes: [...of.nodes, of.nodes[0]] })],
    ["a node without identity", "InvalidIdentity", (of) => oneNode(of, { identity: ZERO_ADDRESS })],
    ["a short key", "InvalidKey", (of) => ({ ...of, decryptionKey: "0x80" })],
    ["the identity as key", "InvalidKey", (of) => ({ ...of, decryptionKey: INFINITY })],
    ["an uncompressed verification key", "InvalidKey", (of) => oneNode(of, { decryptionVerificationKey: UNCOMPRESSED })],
    ["a node without endpoint", "EndpointLengthOutOfRange", (of) => oneNode(of, { endpoint: "" })],
    ["an endpoint of 129 bytes", "EndpointLengthOutOfRange", (of) => oneNode(of, { endpoint: "e".repeat(129) })],
    ["two differing attestation keys", "AttestationKeyMismatch", (of) => ({ ...of, attestationKeyCompressed: of.decryptionKey })],
    ["the point at infinity as attestation key", "AttestationKeyMismatch", (of) => ({ ...of, attestationKey: ZEROS })],
    ["a coordinate of 64 bytes", "AttestationKeyMismatch", (of) => ({ ...of, attestationKey: tooLong(of.attestationKey) })]
  ])("refuses %s", async (_, name, spoil) => {
    expect((await refusal(spoil(committee()))).name).toBe(name)
  })

  test("tells the two roots of a key apart, whichever it is", async () => {
    for (let i = 0; i < 8; i++) {
      const point = bls12_381.G2.Point.BASE.multiply(bls12_381.fields.Fr.create(BigInt(toHex(randomBytes(48)))))
      for (const each of [point, point.negate()]) {
        const compressed = each.toBytes()
        const of = { ...committee(), attestationKey: g2ForChain(compressed) }
        expect((await refusal({ ...of, attestationKeyCompressed: toHex(compressed) })).name).toBe("none")
        const twin = { ...of, attestationKeyCompressed: toHex(each.negate().toBytes()) }
        expect((await refusal(twin)).name).toBe("AttestationKeyMismatch")
      }
    }
  })

  test("changes owner in two steps, and obeys nobody else", async () => {
    const stranger = world.committees.connect(world.chain.account(1)) as Contract
    const forbidden = [["register", [committee()]], ["retire", [1]], ["transferOwnership", [world.chain.address(1)]]] as const
    for (const [name, args] of forbidden) {
      expect((await refusalOf(world.committees, stranger.getFunction(name).staticCall(...args))).name).toBe("NotOwner")
    }
    await send("transferOwnership", world.chain.address(1))
    expect(await ask("owner")).toBe(world.chain.address(0))
    const other = world.committees.connect(world.chain.account(2)) as Contract
    expect((await refusalOf(world.committees, other.getFunction("acceptOwnership").staticCall())).name).toBe("NotPendingOwner")
    await world.chain.mined(stranger.getFunction("acceptOwnership")())
    expect(await ask("owner")).toBe(world.chain.address(1))
    expect(await ask("pendingOwner")).toBe(ZERO_ADDRESS)
    expect((await refusalOf(world.committees, world.committees.getFunction("retire").staticCall(1))).name).toBe("NotOwner")
  })
})
