/** A node uses a share only where the chain's record of the epoch and the share agree in everything. */
import { randomBytes } from "node:crypto"
import { Effect, Layer } from "effect"
import { beforeAll, expect, test } from "vitest"
import { startEngine } from "../../src/adapters/worker-threads/engine-choice.ts"
import type { Committee } from "../../src/domain/committee.ts"
import { type Hex, toHex } from "../../src/domain/hex.ts"
import { epochKeys, NATIVE_SUITE_ID } from "../../src/kms-node/epoch-keys.ts"
import { ChainViewUnavailable, NodeChainView } from "../../src/kms-node/node-chain-view.port.ts"
import { type EpochSecrets, ShareVault } from "../../src/kms-node/share-vault.port.ts"
import { dealKey, type DealtKey } from "../../src/threshold/deal.ts"
import type { Bls12381Engine } from "../../src/threshold/engine.ts"

const IDENTITY: Hex = toHex(randomBytes(20))
let engine: Bls12381Engine
let decryption: DealtKey
let attestation: DealtKey
let other: DealtKey

beforeAll(async () => {
  engine = await startEngine("mcl")
  ;[decryption, attestation, other] = [0, 1, 2].map(() => dealKey(engine, { threshold: 2, nodes: 3 })) as [
    DealtKey,
    DealtKey,
    DealtKey
  ]
})

const recordOf = (x: DealtKey, a: DealtKey): Committee => ({
  epoch: 1,
  suiteId: NATIVE_SUITE_ID,
  threshold: 2,
  nodes: [1, 2, 3].map((id) => ({
    id,
    identity: id === 1 ? IDENTITY : toHex(randomBytes(20)),
    endpoint: "x:1",
    decryptionKey: toHex(x.verificationKeys[id - 1]!),
    attestationKey: toHex(a.verificationKeys[id - 1]!)
  })),
  decryptionKey: toHex(x.publicKey),
  attestationKey: toHex(a.publicKey),
  scheme: "bls",
  isRetired: false
})
const secretsOf = (x: DealtKey, a: DealtKey): EpochSecrets => ({
  epoch: 1,
  decryption: x.shares[0]!.secret,
  attestation: a.shares[0]!.secret,
  decryptionKey: x.publicKey,
  attestationKey: a.publicKey
})

interface Given {
  readonly record?: Committee | undefined
  readonly secrets?: EpochSecrets | undefined
  readonly nodeId?: number
}

/** The lookup of a node 1, and how often it looked at the chain. */
const lookup = (given: Given) => {
  let looks = 0
  const record = "record" in given ? given.record : recordOf(decryption, attestation)
  const secrets = "secrets" in given ? given.secrets : secretsOf(decryption, attestation)
  const world = { isDown: false }
  const vault = Layer.succeed(ShareVault, {
    nodeId: given.nodeId ?? 1,
    identity: IDENTITY,
    isForDevelopment: true,
    epochs: [1],
    signDigest: () => new Uint8Array(65),
    secrets: () => Effect.succeed(secrets)
  })
  const chain = Layer.succeed(NodeChainView, {
    chainId: 1n,
    gateway: "0x",
    registry: "0x",
    inspect: () => Effect.die("not asked"),
    committee: () =>
      Effect.suspend(() => {
        looks += 1
        return world.isDown
          ? Effect.fail(new ChainViewUnavailable({ doing: "committee", cause: "down" }))
          : Effect.succeed(record)
      })
  })
  const keysOf = epochKeys(engine)
  const find = () => Effect.runPromise(keysOf(1).pipe(Effect.provide(Layer.merge(vault, chain)), Effect.result))
  return { find, looks: () => looks, world }
}

test("a share that fits is found, and the chain is asked once", async () => {
  const { find, looks } = lookup({})
  expect(await find()).toMatchObject({ _tag: "Success", success: { scheme: "bls" } })
  expect(await find()).toMatchObject({ _tag: "Success" })
  expect(looks()).toBe(1)
})

test("a failure is not remembered", async () => {
  const { find, world } = lookup({})
  world.isDown = true
  expect(await find()).toMatchObject({ failure: { reason: "chain-unavailable", fate: "retry" } })
  world.isDown = false
  expect(await find()).toMatchObject({ _tag: "Success" })
})

test.each<readonly [string, () => Given, string]>([
  ["the node has no share", () => ({ secrets: undefined }), "this node has no share of epoch 1"],
  ["the chain has no record", () => ({ record: undefined }), "the chain has no epoch 1"],
  [
    "the epoch speaks another suite",
    () => ({ record: { ...recordOf(decryption, attestation), suiteId: toHex(randomBytes(32)) } }),
    "the epoch speaks another suite"
  ],
  ["the node is not a member", () => ({ nodeId: 4 }), "the epoch has no node 4"],
  ["another identity is named for it", () => ({ nodeId: 2 }), "the epoch names another identity for this node"],
  [
    "the decryption key is another",
    () => ({ record: recordOf(other, attestation) }),
    "the epoch's decryption key is not the one that was dealt"
  ],
  [
    "the attestation key is another",
    () => ({ record: recordOf(decryption, other) }),
    "the epoch's attestation key is not the one that was dealt"
  ],
  [
    "the decryption share is another node's",
    () => ({ secrets: { ...secretsOf(decryption, attestation), decryption: decryption.shares[1]!.secret } }),
    "the decryption share is not this node's"
  ],
  [
    "the attestation share is another node's",
    () => ({ secrets: { ...secretsOf(decryption, attestation), attestation: attestation.shares[1]!.secret } }),
    "the attestation share is not this node's"
  ],
  [
    "the two shares have changed places",
    () => ({ secrets: { ...secretsOf(decryption, attestation), decryption: attestation.shares[0]!.secret } }),
    "the decryption share is not this node's"
  ],
  [
    "the verification keys are not of one polynomial",
    () => {
      const record = recordOf(decryption, attestation)
      return {
        record: { ...record, nodes: record.nodes.map((node) => ({ ...node, decryptionKey: record.nodes[0]!.decryptionKey })) }
      }
    },
    "the record's keys are not one polynomial's"
  ],
  [
    "a key is no point",
    () => ({ record: { ...recordOf(decryption, attestation), decryptionKey: toHex(new Uint8Array(96)) } }),
    "the record's keys are not one polynomial's"
  ]
])("it is of no use when %s", async (_, given, detail) => {
  expect(await lookup(given()).find()).toMatchObject({ failure: { _tag: "KmsNodeRefusal", reason: "epoch-unknown", detail } })
})
