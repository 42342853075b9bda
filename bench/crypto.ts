/**
 * What each operation costs with each engine, in milliseconds (median), and what one public 2-of-3 request costs in
 * all. One thread. `node bench/crypto.ts` prints JSON; `measureCrypto` is for `npm run bench`.
 */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { createMclEngine } from "../src/adapters/worker-threads/mcl-engine.ts"
import { combineAttestation, makeAttestationShare } from "../src/threshold/attest.ts"
import { openWithKey, openWithSeed, parseCiphertext, sealCiphertext } from "../src/threshold/ciphertext.ts"
import { combineAll } from "../src/threshold/combine.ts"
import { dealKey } from "../src/threshold/deal.ts"
import type { Bls12381Engine } from "../src/threshold/engine.ts"
import { DECRYPTION_DST, hashIdentity, identityBytes } from "../src/threshold/identity.ts"
import { nobleEngine } from "../src/threshold/noble-engine.ts"
import { bigintOf, randomCoefficient, randomSecret } from "../src/threshold/scalar.ts"
import { makeShare, signatureScheme } from "../src/threshold/share.ts"
import { readSharedKey } from "../src/threshold/shared-key.ts"
import { encryptedKeyScheme, makeEncryptedShare, readTransportKey, transportKeyOf } from "../src/threshold/transport.ts"

export type Milliseconds = Readonly<Record<string, number>>

const BATCH = 16
const THRESHOLD = 2
const NODES = 3

const bytes = (length: number): Uint8Array => new Uint8Array(randomBytes(length))

/** Median over repeated calls, after a warm-up; stops after `budgetMs` or `callsMax`. */
const median = (call: () => unknown, budgetMs: number, callsMax = 400): number => {
  const times: Array<number> = []
  for (let warm = 0; warm < 3; warm++) call()
  const end = performance.now() + budgetMs
  while (times.length < 5 || (performance.now() < end && times.length < callsMax)) {
    const start = performance.now()
    call()
    times.push(performance.now() - start)
  }
  return times.toSorted((left, right) => left - right)[times.length >> 1]!
}

const operations = (engine: Bls12381Engine): Record<string, () => unknown> => {
  const secret = randomSecret()
  const message = bytes(208)
  const points = Array.from({ length: BATCH }, () => engine.secretMultipleG1(engine.generatorG1, randomSecret()))
  const scalars = Array.from({ length: BATCH }, () => bigintOf(randomSecret()))
  const coefficients = Array.from({ length: BATCH }, () => randomCoefficient())
  const g2 = engine.decodeG2(engine.encodeG2(engine.secretMultipleG2(engine.generatorG2, secret)))
  const other = engine.decodeG2(engine.encodeG2(engine.secretMultipleG2(engine.generatorG2, randomSecret())))
  const [prepared, otherPrepared] = [engine.prepareG2(g2), engine.prepareG2(other)]
  const [g1Bytes, g2Bytes] = [engine.encodeG1(points[0]!), engine.encodeG2(g2)]
  return {
    hashToG1: () => engine.hashToG1(message, DECRYPTION_DST),
    decodeG1: () => engine.decodeG1(g1Bytes),
    decodeG2: () => engine.decodeG2(g2Bytes),
    encodeG1: () => engine.encodeG1(points[1]!),
    secretMultipleG1: () => engine.secretMultipleG1(points[0]!, secret),
    secretMultipleG2: () => engine.secretMultipleG2(g2, secret),
    publicMultipleG2: () => engine.publicMultipleG2(scalars[0]!),
    sumG1of2: () => engine.sumG1(points.slice(0, 2), scalars.slice(0, 2)),
    sumG1of2Lagrange12: () => engine.sumG1(points.slice(0, 2), weights12),
    sumG2of2: () => engine.sumG2([g2, other], scalars.slice(0, 2)),
    sumG1of16With128Bits: () => engine.sumG1(points, coefficients),
    pairingBytes: () => engine.pairingBytes(points[0]!, g2),
    pairingProductOf2: () => engine.pairingProductIsOne(points.slice(0, 2), [g2, other]),
    pairingProductOf2Prepared: () => engine.pairingProductIsOne(points.slice(0, 2), [prepared, otherPrepared])
  }
}

/** Weights of nodes 1 and 2 at zero: 2 and -1. */
const weights12 = [2n, 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000n]

const protocol = (engine: Bls12381Engine): Record<string, { readonly call: () => unknown; readonly per: number }> => {
  const dealt = dealKey(engine, { threshold: THRESHOLD, nodes: NODES })
  const key = readSharedKey(engine, dealt)
  const secretOf = (id: number) => dealt.shares[id - 1]!.secret
  const transportKey = readTransportKey(engine, transportKeyOf(engine, randomSecret()))
  const requests = Array.from({ length: BATCH }, () => {
    const handle = bytes(32)
    const identity = identityBytes({ chainId: 31_337n, registry: bytes(20), handle })
    const hashed = hashIdentity(engine, dealt.publicKey, identity)
    const of = { handle, requestId: bytes(32), hashed, transportKey }
    return {
      handle,
      identity,
      hashed,
      ciphertext: parseCiphertext(sealCiphertext(engine, { publicKey: key.publicKey, epoch: 1, identity }, bytes(32))),
      shares: [1, 2].map((nodeId) => ({ nodeId, share: makeShare(engine, secretOf(nodeId), hashed) })),
      encryptedShares: [1, 2].map((nodeId) => ({
        nodeId,
        share: makeEncryptedShare(engine, { ...of, secret: secretOf(nodeId) })
      }))
    }
  })
  const one = requests[0]!
  const combinePublic = (some: typeof requests) => {
    const answers = some.map((request) => ({
      statement: hashIdentity(engine, dealt.publicKey, request.identity),
      shares: request.shares
    }))
    return combineAll(engine, signatureScheme, key, answers)
  }
  const combineUser = (some: typeof requests) => {
    const answers = some.map((request) => ({
      statement: { hashed: hashIdentity(engine, dealt.publicKey, request.identity), transportKey },
      shares: request.encryptedShares
    }))
    return combineAll(engine, encryptedKeyScheme, key, answers)
  }
  const encryptedKeys = combineUser(requests).map((result) => {
    assert("whole" in result, "honest shares combine")
    return encryptedKeyScheme.write(engine, result.whole)
  })
  const verifyUser = (some: typeof requests) =>
    encryptedKeyScheme.allHold(
      engine,
      key.publicKey.point,
      some.map((request, index) => ({
        statement: { hashed: hashIdentity(engine, dealt.publicKey, request.identity), transportKey },
        part: encryptedKeyScheme.read(engine, encryptedKeys[index]!)
      }))
    )
  const whole = combinePublic([one])[0]!
  assert("whole" in whole, "honest shares combine")
  const { seed } = openWithKey(engine, one.ciphertext, one.identity, whole.whole)
  const digest = bytes(32)
  const parts = [1, 2].map((nodeId) => ({ nodeId, share: makeAttestationShare(engine, secretOf(nodeId), digest) }))
  return {
    nodePublicShare: {
      call: () => makeShare(engine, secretOf(1), hashIdentity(engine, dealt.publicKey, one.identity)),
      per: 1
    },
    nodeUserShare: {
      call: () =>
        makeEncryptedShare(engine, {
          secret: secretOf(1),
          hashed: hashIdentity(engine, dealt.publicKey, one.identity),
          transportKey,
          requestId: one.handle,
          handle: one.handle
        }),
      per: 1
    },
    nodeRecheck: { call: () => openWithSeed(engine, one.ciphertext, one.identity, seed), per: 1 },
    nodeAttest: { call: () => makeAttestationShare(engine, secretOf(1), digest), per: 1 },
    combinePublicAlone: { call: () => combinePublic([one]), per: 1 },
    combinePublicIn16: { call: () => combinePublic(requests), per: BATCH },
    combineUserAlone: { call: () => combineUser([one]), per: 1 },
    combineUserIn16: { call: () => combineUser(requests), per: BATCH },
    nodeVerifyUserIn16: { call: () => verifyUser(requests), per: BATCH },
    decrypt: { call: () => openWithKey(engine, one.ciphertext, one.identity, whole.whole), per: 1 },
    combineAttestation: { call: () => combineAttestation(engine, key, digest, parts), per: 1 },
    clientEncrypt: {
      call: () => sealCiphertext(engine, { publicKey: key.publicKey, epoch: 1, identity: one.identity }, digest),
      per: 1
    }
  }
}

const rounded = (ms: number): number => Math.round(ms * 1_000) / 1_000

/** All processes together, in batches of 16 with one attestation for each batch. */
const wholeRequests = (ms: Milliseconds): Milliseconds => {
  const attestation = (THRESHOLD * ms["nodeAttest"]! + ms["combineAttestation"]!) / BATCH
  return {
    publicRequest2of3: rounded(
      THRESHOLD * (ms["nodePublicShare"]! + ms["nodeRecheck"]!) + ms["combinePublicIn16"]! + ms["decrypt"]! + attestation
    ),
    userRequest2of3: rounded(
      THRESHOLD * (ms["nodeUserShare"]! + ms["nodeVerifyUserIn16"]!) + ms["combineUserIn16"]! + attestation
    )
  }
}

const measure = (engine: Bls12381Engine, budgetMs: number): Milliseconds => {
  const ms: Record<string, number> = {}
  for (const [name, call] of Object.entries(operations(engine))) ms[name] = rounded(median(call, budgetMs))
  for (const [name, { call, per }] of Object.entries(protocol(engine))) ms[name] = rounded(median(call, budgetMs) / per)
  return { ...ms, ...wholeRequests(ms) }
}

/**
 * Milliseconds for each operation; names ending in `In16` are for one of sixteen. `budgetMs` is for one operation of
 * one engine.
 */
export const measureCrypto = async (budgetMs = 300): Promise<{ readonly noble: Milliseconds; readonly mcl: Milliseconds }> => ({
  noble: measure(nobleEngine, budgetMs),
  mcl: measure(await createMclEngine(), budgetMs)
})

if (import.meta.main) console.log(JSON.stringify(await measureCrypto(), undefined, 2))
