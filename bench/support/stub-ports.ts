/**
 * Ports that answer at once with values of the right form and size: ciphertexts, committee, shares, combinations. Nothing here
 * computes.
 */
import { randomBytes } from "node:crypto"
import { Effect, Layer, Stream } from "effect"
import { keccakText } from "../../src/domain/abi-words.ts"
import { toHex } from "../../src/domain/hex.ts"
import type { Committee } from "../../src/domain/committee.ts"
import { CiphertextCache } from "../../src/journey/3-ciphertext-fetched/ciphertext-cache.port.ts"
import { CiphertextRegistry } from "../../src/journey/3-ciphertext-fetched/ciphertext-registry.port.ts"
import { CiphertextStore } from "../../src/journey/3-ciphertext-fetched/ciphertext-store.port.ts"
import { Committees } from "../../src/journey/4-shares-collected/committee.port.ts"
import { ShareNodes } from "../../src/journey/4-shares-collected/share-node.port.ts"
import { Combiner, type Combined } from "../../src/journey/5-threshold-verified/combiner.port.ts"

const hex = (bytes: number) => toHex(randomBytes(bytes))
const DIGEST = hex(32)
const OWNER = hex(20)
/** As large as a ciphertext of 32 bytes. */
const CIPHERTEXT = new Uint8Array(randomBytes(240))
const RECORD = { owner: OWNER, digest: DIGEST, sizeBytes: CIPHERTEXT.length, epoch: 1, locations: [] }
const RESULT = new Uint8Array(randomBytes(160))
const SIGMA = new Uint8Array(randomBytes(32))
const SHARE = new Uint8Array(randomBytes(48))
const SIGNATURE = new Uint8Array(randomBytes(65))
const ATTESTATION = new Uint8Array(randomBytes(128))

export const committee: Committee = {
  epoch: 1,
  suiteId: keccakText("portcullis/native/bls12-381/v1"),
  threshold: 2,
  nodes: [1, 2, 3].map((id) => ({
    id,
    identity: hex(20),
    endpoint: `stub-${id}:1`,
    decryptionKey: hex(96),
    attestationKey: hex(96)
  })),
  decryptionKey: hex(96),
  attestationKey: hex(96),
  scheme: "bls",
  isRetired: false
}

export const stubPorts = Layer.mergeAll(
  Layer.succeed(CiphertextRegistry, {
    records: (handles) =>
      Effect.succeed(handles.map((handle) => ({ handle, ...RECORD })))
  }),
  Layer.succeed(CiphertextCache, { shared: (_what, look) => look, get: () => Effect.succeed(CIPHERTEXT), put: () => Effect.void }),
  Layer.succeed(CiphertextStore, { read: () => Stream.make(CIPHERTEXT), write: () => Effect.succeed("store://stub/0") }),
  Layer.succeed(Committees, { committee: () => Effect.succeed(committee), current: Effect.succeed(committee) }),
  Layer.succeed(ShareNodes, {
    share: (node, requestId, { epoch, handles }) =>
      Effect.succeed({ requestId, epoch, nodeId: node.id, shares: handles.map(() => SHARE), signature: SIGNATURE }),
    attest: () => Effect.succeed(SHARE),
    describe: (node) =>
      Effect.succeed({ nodeId: node.id, identity: node.identity, epochs: [1], version: "stub", clockMs: Date.now() })
  }),
  Layer.succeed(Combiner, {
    combine: (_, tasks) =>
      Effect.succeed(tasks.map((): Combined => ({ type: "public", result: RESULT, sigmas: [SIGMA], nodes: [1, 2], liars: [] }))),
    combineAttestation: () => Effect.succeed({ type: "attested", attestation: ATTESTATION, liars: [] })
  })
)
