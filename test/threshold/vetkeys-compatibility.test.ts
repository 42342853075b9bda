/** An independent implementation, @dfinity/vetkeys 0.4 (and its published vectors), must agree with ours in both directions. */
import {
  DerivedPublicKey,
  EncryptedVetKey,
  IbeCiphertext,
  IbeIdentity,
  IbeSeed,
  TransportSecretKey,
  VetKey
} from "@dfinity/vetkeys"
import { beforeAll, describe, expect, test } from "vitest"
import { createMclEngine } from "../../src/adapters/worker-threads/mcl-engine.ts"
import { openWithKey, parseCiphertext, sealCiphertext } from "../../src/threshold/ciphertext.ts"
import { combineOne } from "../../src/threshold/combine.ts"
import type { Bls12381Engine } from "../../src/threshold/engine.ts"
import { decryptIbe, encryptIbe, openIbe, parseIbe } from "../../src/threshold/ibe.ts"
import { hashIdentity } from "../../src/threshold/identity.ts"
import { nobleEngine } from "../../src/threshold/noble-engine.ts"
import { signatureScheme } from "../../src/threshold/share.ts"
import { readPublicKey } from "../../src/threshold/shared-key.ts"
import {
  encryptedKeyScheme,
  makeEncryptedShare,
  openEncryptedKey,
  readTransportKey,
  transportKeyOf
} from "../../src/threshold/transport.ts"
import vectors from "../vectors/vetkeys.json" with { type: "json" }
import { aCommittee, anIdentity, type DealtCommittee, someBytes } from "./dealt-committee.ts"

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"))
const hex = (given: Uint8Array): string => Buffer.from(given).toString("hex")

describe.each([
  { name: "mcl", start: createMclEngine },
  { name: "noble", start: async () => nobleEngine }
])("with @dfinity/vetkeys ($name)", ({ start }) => {
  let engine: Bls12381Engine
  let committee: DealtCommittee
  const identity = anIdentity()
  beforeAll(async () => {
    engine = await start()
    committee = aCommittee(engine, 2, 3)
  })

  const keyOf = (nodeIds: ReadonlyArray<number>) => {
    const hashed = hashIdentity(engine, committee.dealt.publicKey, identity)
    const combined = combineOne(engine, signatureScheme, committee.key, {
      statement: hashed,
      shares: committee.sharesOf(nodeIds, hashed)
    })
    if ("liars" in combined) throw new Error("honest shares combine")
    return combined.whole
  }
  const encryptedKeyFor = (transportKey: Uint8Array) => {
    const statement = {
      hashed: hashIdentity(engine, committee.dealt.publicKey, identity),
      transportKey: readTransportKey(engine, transportKey)
    }
    const requestId = someBytes(32)
    const shares = [3, 1].map((nodeId) => ({
      nodeId,
      share: makeEncryptedShare(engine, { ...statement, secret: committee.secretOf(nodeId), requestId, handle: someBytes(32) })
    }))
    const combined = combineOne(engine, encryptedKeyScheme, committee.key, { statement, shares })
    if ("liars" in combined) throw new Error("honest shares combine")
    return encryptedKeyScheme.write(engine, combined.whole)
  }

  test("its augmented hash to G1 is ours", () => {
    const { publicKey, message, point } = vectors.augmentedHash
    expect(hex(engine.encodeG1(hashIdentity(engine, bytes(publicKey), bytes(message))))).toBe(point)
  })

  test("its published encrypted key opens to its published key, and its transport key is ours", () => {
    const { flow } = vectors
    const publicKey = readPublicKey(engine, bytes(flow.publicKey))
    const hashed = hashIdentity(engine, publicKey.bytes, bytes(flow.identity))
    const transportSecret = bytes(flow.transportSecret)
    expect(hex(transportKeyOf(engine, transportSecret))).toBe(flow.transportKey)
    const key = openEncryptedKey(engine, {
      transportSecret,
      encryptedKey: bytes(flow.encryptedKey),
      publicKey: publicKey.point,
      hashed
    })
    expect(hex(engine.encodeG1(key))).toBe(flow.key)
  })

  test("its published IBE ciphertext is what we encrypt, decrypt, and open with the seed", () => {
    const { flow } = vectors
    const publicKey = readPublicKey(engine, bytes(flow.publicKey))
    const hashed = hashIdentity(engine, publicKey.bytes, bytes(flow.identity))
    const [message, seed] = [bytes(flow.ibe.message), bytes(flow.ibe.seed)]
    expect(hex(encryptIbe(engine, { publicKey: publicKey.point, hashed }, message, seed))).toBe(flow.ibe.ciphertext)
    const parsed = parseIbe(bytes(flow.ibe.ciphertext), message.length)
    expect(hex(openIbe(engine, parsed, seed))).toBe(flow.ibe.message)
    const opened = decryptIbe(engine, parsed, engine.decodeG1(bytes(flow.key)))
    expect([hex(opened.message), hex(opened.seed)]).toEqual([flow.ibe.message, flow.ibe.seed])
  })

  test("it encrypts a data key to an identity, our combined key decrypts it and recovers its seed", () => {
    const dataKey = someBytes(32)
    const seed = someBytes(32)
    const theirs = IbeCiphertext.encrypt(
      DerivedPublicKey.deserialize(committee.dealt.publicKey),
      IbeIdentity.fromBytes(identity),
      dataKey,
      IbeSeed.fromBytes(seed)
    ).serialize()
    const opened = decryptIbe(engine, parseIbe(theirs, 32), keyOf([1, 3]))
    expect(hex(opened.message)).toBe(hex(dataKey))
    expect(hex(opened.seed)).toBe(hex(seed))
  })

  test("we seal a ciphertext, it decrypts the data key with our combined key", () => {
    const payload = new TextEncoder().encode("from Portcullis to vetKeys")
    const ciphertext = sealCiphertext(engine, { publicKey: committee.key.publicKey, epoch: 1, identity }, payload)
    const key = keyOf([2, 3])
    const dataKey = IbeCiphertext.deserialize(ciphertext.slice(12, 12 + 168)).decrypt(VetKey.deserialize(engine.encodeG1(key)))
    const ours = decryptIbe(engine, parseIbe(ciphertext.slice(12, 12 + 168), 32), key)
    expect(hex(dataKey)).toBe(hex(ours.message))
    expect(hex(openWithKey(engine, parseCiphertext(ciphertext), identity, key).plaintext)).toBe(hex(payload))
  })

  test("our combined encrypted key answers its transport key, and its EncryptedVetKey opens and verifies it", () => {
    const transportSecret = TransportSecretKey.random()
    const encryptedKey = EncryptedVetKey.deserialize(encryptedKeyFor(transportSecret.publicKeyBytes()))
    const publicKey = DerivedPublicKey.deserialize(committee.dealt.publicKey)
    const opened = encryptedKey.decryptAndVerify(transportSecret, publicKey, identity)
    expect(hex(opened.signatureBytes())).toBe(hex(engine.encodeG1(keyOf([1, 2]))))
    expect(() => encryptedKey.decryptAndVerify(transportSecret, publicKey, anIdentity())).toThrow("Invalid VetKey")
    expect(() => encryptedKey.decryptAndVerify(TransportSecretKey.random(), publicKey, identity)).toThrow("Invalid VetKey")
  })

  test("we open the same encrypted key with its transport secret", () => {
    const theirs = TransportSecretKey.random()
    const key = openEncryptedKey(engine, {
      transportSecret: theirs.serialize(),
      encryptedKey: encryptedKeyFor(theirs.publicKeyBytes()),
      publicKey: committee.key.publicKey.point,
      hashed: hashIdentity(engine, committee.dealt.publicKey, identity)
    })
    expect(engine.equalG1(key, keyOf([1, 2]))).toBe(true)
  })
})
