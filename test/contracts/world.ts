/** A deployed Portcullis with a committee whose keys the test knows, and the words the contract tests are written in. */
import { randomBytes } from "node:crypto"
import { bls12_381 } from "@noble/curves/bls12-381.js"
import { AbiCoder, Contract, hexlify, id, keccak256, sha256, SigningKey, toBeHex, Wallet } from "ethers"
import { deployPortcullis, type Deployment, type NewCommittee } from "../../src/adapters/ethereum/deploy.ts"
import { g1ForChain } from "../../src/adapters/ethereum/eip2537.ts"
import * as accessList from "../../src/adapters/ethereum/generated/AccessList.ts"
import * as ciphertextRegistry from "../../src/adapters/ethereum/generated/CiphertextRegistry.ts"
import * as committeeRegistry from "../../src/adapters/ethereum/generated/CommitteeRegistry.ts"
import * as decryptionGateway from "../../src/adapters/ethereum/generated/DecryptionGateway.ts"
import { fromHex, lower, toHex, type Hex } from "../../src/domain/hex.ts"
import { attestationDigest, responseLeaf, resultHashOf, type AttestedRoot } from "../../src/domain/response.ts"
import { startTestChain, type TestChain } from "../support/anvil.ts"
import type { AnvilOptions } from "../../src/adapters/embedded/anvil.ts"

const { Fr } = bls12_381.fields
export const ATTEST_DST = "PORTCULLIS_ATTEST_V1_BLS12381G1_XMD:SHA-256_SSWU_RO_"
export const SUITE_ID = lower(id("portcullis/native/bls12-381/v1"))
export const coder = AbiCoder.defaultAbiCoder()

export const randomHex = (bytes: number): Hex => toHex(randomBytes(bytes))

/** abi.encode(bytes[]) of the plaintexts. */
export const resultOf = (...plaintexts: ReadonlyArray<Uint8Array>): Hex => lower(coder.encode(["bytes[]"], [plaintexts]))

export interface TestCommittee {
  readonly committee: NewCommittee
  readonly identities: ReadonlyArray<SigningKey>
  /** The committee's BLS signature, as the contract takes it. */
  readonly blsAttest: (digest: Hex) => Hex
}

const scalar = () => Fr.create(BigInt(randomHex(48)))
const g2Of = (secret: bigint): Hex => toHex(bls12_381.G2.Point.BASE.multiply(secret).toBytes())

export const testCommittee = (scheme: "bls" | "quorum", threshold = 2, nodes = 3): TestCommittee => {
  const attestationSecret = scalar()
  const identities = Array.from({ length: nodes }, () => new SigningKey(randomBytes(32)))
  return {
    identities,
    committee: {
      suiteId: SUITE_ID,
      threshold,
      scheme,
      decryptionKey: g2Of(scalar()),
      attestationKey: g2Of(attestationSecret),
      nodes: identities.map((key, index) => ({
        id: index + 1,
        identity: lower(new Wallet(key).address),
        endpoint: `127.0.0.1:${7_001 + index}`,
        decryptionKey: g2Of(scalar()),
        attestationKey: g2Of(scalar())
      }))
    },
    // Shares add up to this signature (test/threshold); the contract only ever sees the sum.
    blsAttest: (digest) => {
      const point = bls12_381.G1.hashToCurve(fromHex(digest), { DST: ATTEST_DST }) as InstanceType<typeof bls12_381.G1.Point>
      return toHex(g1ForChain(point.multiply(attestationSecret).toBytes()))
    }
  }
}

/** Signatures of these keys over the digest, ordered and concatenated as protocol.md section 6 says. */
export const quorumAttest = (digest: Hex, keys: ReadonlyArray<SigningKey>): Hex => {
  const ordered = keys.toSorted((a, b) => (BigInt(new Wallet(a).address) < BigInt(new Wallet(b).address) ? -1 : 1))
  return `0x${ordered.map((key) => key.sign(digest).serialized.slice(2)).join("")}`
}

export interface MerkleTree {
  readonly root: Hex
  readonly proofs: ReadonlyArray<ReadonlyArray<Hex>>
}

const parentOf = (a: Hex, b: Hex): Hex => lower(keccak256(BigInt(a) < BigInt(b) ? `${a}${b.slice(2)}` : `${b}${a.slice(2)}`))

/** Over the leaves in order. Written from protocol.md section 6, not from the contract. */
export const merkle = (leaves: ReadonlyArray<Hex>): MerkleTree => {
  const proofs: Array<Array<Hex>> = leaves.map(() => [])
  let level = leaves.map((leaf, index) => ({ hash: leaf, members: [index] }))
  while (level.length > 1) {
    const next: typeof level = []
    for (let i = 0; i < level.length; i += 2) {
      const [left, right] = [level[i]!, level[i + 1]]
      if (right === undefined) {
        next.push(left)
        continue
      }
      for (const member of left.members) proofs[member]!.push(right.hash)
      for (const member of right.members) proofs[member]!.push(left.hash)
      next.push({ hash: parentOf(left.hash, right.hash), members: [...left.members, ...right.members] })
    }
    level = next
  }
  return { root: level[0]!.hash, proofs }
}

export interface TestResponse {
  readonly requestId: Hex
  readonly result: Hex
}

export interface PublicRequest {
  readonly callbackGas?: number
  readonly deadline?: number
  readonly epoch?: number
}

export interface World {
  readonly chain: TestChain
  readonly deployment: Deployment
  readonly keys: TestCommittee
  /** Connected as account 0, who owns the handles, asks and submits unless a test says otherwise. */
  readonly registry: Contract
  readonly list: Contract
  readonly committees: Contract
  readonly gateway: Contract
  readonly now: () => Promise<number>
  /** Registers a ciphertext that exists only as a digest. */
  readonly registered: (as?: number, epoch?: number) => Promise<Hex>
  /** A public request for one fresh handle; its id. */
  readonly requested: (of?: PublicRequest) => Promise<Hex>
  readonly attested: (responses: ReadonlyArray<TestResponse>, change?: Partial<AttestedRoot>) => Promise<Attested>
}

export interface Attested {
  readonly root: AttestedRoot
  readonly digest: Hex
  readonly attestation: Hex
  readonly proofs: ReadonlyArray<ReadonlyArray<Hex>>
}

export const startWorld = async (
  scheme: "bls" | "quorum",
  options: AnvilOptions = {},
  keys = testCommittee(scheme)
): Promise<World> => {
  const chain = await startTestChain(options)
  const signer = chain.account(0)
  const deployment = await deployPortcullis(signer, keys.committee)
  const { addresses, epoch } = deployment
  const registry = new Contract(addresses.ciphertextRegistry, ciphertextRegistry.abi, signer)
  const gateway = new Contract(addresses.decryptionGateway, decryptionGateway.abi, signer)
  const now = async () => (await chain.provider.getBlock("latest"))!.timestamp

  const registered: World["registered"] = async (as = 0, ofEpoch = epoch) => {
    const salt = randomHex(32)
    const owner = registry.connect(chain.account(as)) as Contract
    await chain.mined(owner.getFunction("register")(salt, sha256(salt), 300, ofEpoch, [`store://main/${salt.slice(2)}`]))
    return lower(await registry.getFunction("handleOf")(chain.address(as), salt))
  }

  const requested: World["requested"] = async (of = {}) => {
    const handle = await registered(0, of.epoch)
    const deadline = of.deadline ?? (await now()) + 3_600
    const salt = randomHex(32)
    const receipt = await chain.mined(gateway.getFunction("requestPublic")([handle], deadline, of.callbackGas ?? 0, salt))
    return lower(receipt.logs[0]!.topics[1]!)
  }

  const attested: World["attested"] = async (responses, change = {}) => {
    const tree = merkle(responses.map(({ requestId, result }) => responseLeaf(requestId, resultHashOf(fromHex(result)))))
    const expiry = (await now()) + 3_600
    const root = { root: tree.root, count: responses.length, epoch, expiry, ...change }
    const digest = attestationDigest({ chainId: BigInt(chain.chainId), gateway: addresses.decryptionGateway }, root)
    const { threshold } = keys.committee
    const attestation = scheme === "bls" ? keys.blsAttest(digest) : quorumAttest(digest, keys.identities.slice(0, threshold))
    return { root, digest, attestation, proofs: tree.proofs }
  }

  return {
    chain,
    deployment,
    keys,
    registry,
    gateway,
    list: new Contract(addresses.accessList, accessList.abi, signer),
    committees: new Contract(addresses.committeeRegistry, committeeRegistry.abi, signer),
    now,
    registered,
    requested,
    attested
  }
}

/** A word as the contract pads it. */
export const word = (value: bigint | number): string => toBeHex(value, 32)
export const hex = (bytes: Uint8Array): Hex => lower(hexlify(bytes))
