import { randomBytes } from "node:crypto"
import { bls12_381 } from "@noble/curves/bls12-381.js"
import { Contract, ContractFactory, toUtf8Bytes } from "ethers"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { g1ForChain, g2ForChain } from "../../src/adapters/ethereum/eip2537.ts"
import * as blsVerifier from "../../src/adapters/ethereum/generated/BlsVerifier.ts"
import { toHex, type Hex } from "../../src/domain/hex.ts"
import * as harness from "./generated/Bls12381Harness.ts"
import { ATTEST_DST, randomHex, startWorld, type World } from "./world.ts"

const hashOf = (message: Uint8Array, DST: string): Hex => {
  const point = bls12_381.G1.hashToCurve(message, { DST }) as InstanceType<typeof bls12_381.G1.Point>
  return toHex(g1ForChain(point.toBytes()))
}

/** RFC 9380, appendix J.9.1: BLS12381G1_XMD:SHA-256_SSWU_RO_. */
const RFC_DST = "QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_"
const RFC_VECTORS: ReadonlyArray<readonly [message: string, x: string, y: string]> = [
  [
    "",
    "052926add2207b76ca4fa57a8734416c8dc95e24501772c814278700eed6d1e4e8cf62d9c09db0fac349612b759e79a1",
    "08ba738453bfed09cb546dbb0783dbb3a5f1f566ed67bb6be0e8c67e2e81a4cc68ee29813bb7994998f3eae0c9c6a265"
  ],
  [
    "abc",
    "03567bc5ef9c690c2ab2ecdf6a96ef1c139cc0b2f284dca0a9a7943388a49a3aee664ba5379a7655d3c68900be2f6903",
    "0b9c15f3fe6e5cf4211f346271d7b01c8f3b28be689c8429c85b67af215533311f0b8dfaaa154fa6b88176c229f2885d"
  ],
  [
    "abcdef0123456789",
    "11e0b079dea29a68f0383ee94fed1b940995272407e3bb916bbf268c263ddd57a6a27200a784cbc248e84f357ce82d98",
    "03a87ae2caf14e8ee52e51fa2ed8eefe80f02457004ba4d486d6aa1f517c0889501dc7413753f9599b099ebcbbd2d709"
  ],
  [
    `q128_${"q".repeat(128)}`,
    "15f68eaa693b95ccb85215dc65fa81038d69629f70aeee0d0f677cf22285e7bf58d7cb86eefe8f2e9bc3f8cb84fac488",
    "1807a1d50c29f430b8cafc4f8638dfeeadf51211e1602a5f184443076715f91bb90a48ba1e370edce6ae1062f5e6dd38"
  ],
  [
    `a512_${"a".repeat(512)}`,
    "082aabae8b7dedb0e78aeb619ad3bfd9277a2f77ba7fad20ef6aabdc6c31d19ba5a6d12283553294c1825c4b3ca2dcfe",
    "05b84ae5a942248eea39e1d91030458c40153f3b654ab7872d779ad1e942856a20c438e8d99bc8abfbf74729ce1f7ac8"
  ]
]

/** e(6*G1, scalar*G2) and e(30*G1, -G2): one when the scalar is 5. */
const pairs = (scalar: bigint): Hex => {
  const g1 = bls12_381.G1.Point.BASE
  const g2 = bls12_381.G2.Point.BASE
  const parts = [
    g1ForChain(g1.multiply(6n).toBytes()),
    g2ForChain(g2.multiply(scalar).toBytes()),
    g1ForChain(g1.multiply(30n).toBytes()),
    g2ForChain(g2.negate().toBytes())
  ]
  return toHex(Buffer.concat(parts))
}

const fieldHex = (value: bigint): string => value.toString(16).padStart(128, "0")

const deployHarness = async (world: World): Promise<Contract> => {
  const contract = await new ContractFactory(harness.abi, harness.bytecode, world.chain.account(0)).deploy()
  return (await contract.waitForDeployment()) as Contract
}

describe("Bls12381 on a chain with the precompiles", () => {
  let world: World
  let library: Contract
  let verifier: Contract
  beforeAll(async () => {
    world = await startWorld("bls")
    library = await deployHarness(world)
    verifier = new Contract(world.deployment.addresses.blsVerifier, blsVerifier.abi, world.chain.provider)
  })
  afterAll(() => world.chain.stop())

  const hashOnChain = async (message: Uint8Array, dst: string): Promise<unknown> => {
    const [ok, point] = await library.getFunction("hashToG1")(message, toUtf8Bytes(dst))
    return ok === true ? point : "refused"
  }
  const verify = (digest: Hex, attestation: string, epoch = 1): Promise<boolean> =>
    verifier.getFunction("verify")(epoch, digest, attestation)

  test.each(RFC_VECTORS)("hashes %j as RFC 9380 J.9.1 prints it", async (message, x, y) => {
    const padding = "00".repeat(16)
    expect(await hashOnChain(toUtf8Bytes(message), RFC_DST)).toBe(`0x${padding}${x}${padding}${y}`)
  })

  test("hashes random messages of every kind of length as noble does", async () => {
    for (const length of [0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 500]) {
      const message = new Uint8Array(randomBytes(length))
      expect(await hashOnChain(message, ATTEST_DST)).toBe(hashOf(message, ATTEST_DST))
    }
  })

  test("takes a domain separation tag of 1 to 255 bytes", async () => {
    const message = new Uint8Array(randomBytes(32))
    for (const dst of ["D", "D".repeat(31), "D".repeat(255)]) expect(await hashOnChain(message, dst)).toBe(hashOf(message, dst))
    for (const length of [0, 256]) expect(await hashOnChain(message, "D".repeat(length))).toBe("refused")
  })

  test("checks a product of two pairings", async () => {
    expect(await library.getFunction("pairingIsOne")(pairs(5n))).toBe(true)
    expect(await library.getFunction("pairingIsOne")(pairs(7n))).toBe(false)
  })

  test("accepts the committee's signature on a digest and on no other", async () => {
    const digest = randomHex(32)
    const signature = world.keys.blsAttest(digest)
    expect(await verify(digest, signature)).toBe(true)
    expect(await verify(randomHex(32), signature)).toBe(false)
    expect(await verify(digest, world.keys.blsAttest(randomHex(32)))).toBe(false)
  })

  test("answers false, and does not revert, to every malformed signature", async () => {
    const digest = randomHex(32)
    const signature = world.keys.blsAttest(digest)
    // On the curve, but not in the prime-order subgroup: the cofactor is not cleared.
    const outside = bls12_381.G1.Point.fromAffine({ x: 4n, y: bls12_381.fields.Fp.sqrt(68n) })
    expect(outside.isTorsionFree()).toBe(false)
    const { x, y } = outside.toAffine()
    const p = bls12_381.fields.Fp.ORDER
    const [sx, sy] = [BigInt(`0x${signature.slice(2, 130)}`), BigInt(`0x${signature.slice(130)}`)]
    for (const malformed of [
      "0x",
      signature.slice(0, -2),
      `${signature}00`,
      `0x${"00".repeat(128)}`,
      `0x${"ff".repeat(128)}`,
      `0x${fieldHex(sx)}${fieldHex(sy ^ 1n)}`,
      `0x${fieldHex(sx + p)}${fieldHex(sy)}`,
      `0x${fieldHex(x)}${fieldHex(y)}`
    ]) {
      expect(await verify(digest, malformed)).toBe(false)
    }
  })

  test("answers false for an epoch nobody registered, even to the point at infinity", async () => {
    const digest = randomHex(32)
    expect(await verify(digest, world.keys.blsAttest(digest), 2)).toBe(false)
    expect(await verify(digest, `0x${"00".repeat(128)}`, 2)).toBe(false)
  })

  test("answers false when the gas does not suffice", async () => {
    const digest = randomHex(32)
    const signature = world.keys.blsAttest(digest)
    const answers = []
    for (const gasLimit of [60_000n, 100_000n, 140_000n]) {
      const asked = verifier.getFunction("verify")(1, digest, signature, { gasLimit })
      answers.push(await asked.catch(() => "out of gas"))
    }
    expect(answers).not.toContain(true)
  })
})

describe("Bls12381 on a chain without the precompiles", () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld("bls", { hardfork: "cancun" })
  })
  afterAll(() => world.chain.stop())

  test("answers false to a good signature", async () => {
    const verifier = new Contract(world.deployment.addresses.blsVerifier, blsVerifier.abi, world.chain.provider)
    const digest = randomHex(32)
    expect(await verifier.getFunction("verify")(1, digest, world.keys.blsAttest(digest))).toBe(false)
  })

  test("refuses to call an absent hash or pairing a success", async () => {
    const library = await deployHarness(world)
    const [ok] = await library.getFunction("hashToG1")("0x", toUtf8Bytes("D"))
    expect(ok).toBe(false)
    expect(await library.getFunction("pairingIsOne")(`0x${"00".repeat(768)}`)).toBe(false)
  })
})
