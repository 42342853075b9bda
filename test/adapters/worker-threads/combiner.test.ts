/** The `Combiner` on real threads: what step 5 relies on, with honest nodes, liars, bad ciphertexts and bad transport keys. */
import { AbiCoder } from "ethers"
import { Cause, Effect, Exit } from "effect"
import { beforeAll, describe, expect, test } from "vitest"
import { jobsOf, layer } from "../../../src/adapters/worker-threads/combiner.layer.ts"
import type { EngineName } from "../../../src/adapters/worker-threads/engine-choice.ts"
import { createMclEngine } from "../../../src/adapters/worker-threads/mcl-engine.ts"
import type { Committee } from "../../../src/domain/committee.ts"
import { fromHex, toHex } from "../../../src/domain/hex.ts"
import {
  type Combined,
  Combiner,
  CombinerUnavailable,
  type CombineTask
} from "../../../src/journey/5-threshold-verified/combiner.port.ts"
import { makeAttestationShare, verifyAttestation } from "../../../src/threshold/attest.ts"
import { openWithSeed, parseCiphertext, sealCiphertext } from "../../../src/threshold/ciphertext.ts"
import type { Bls12381Engine } from "../../../src/threshold/engine.ts"
import { hashIdentity, identityBytes } from "../../../src/threshold/identity.ts"
import { randomSecret } from "../../../src/threshold/scalar.ts"
import { makeShare } from "../../../src/threshold/share.ts"
import { makeEncryptedShare, openEncryptedKey, readTransportKey, transportKeyOf } from "../../../src/threshold/transport.ts"
import { aCommittee, type DealtCommittee, someBytes } from "../../threshold/dealt-committee.ts"

const EPOCH = 3
const CHAIN = 31_337n
const REGISTRY = toHex(new Uint8Array(20).fill(9))
const ZERO = toHex(new Uint8Array(20))
const bytesArray = (result: Uint8Array): ReadonlyArray<string> => {
  const [items] = AbiCoder.defaultAbiCoder().decode(["bytes[]"], result)
  return [...(items as Iterable<string>)]
}

describe.each<EngineName>(["mcl", "noble"])("Combiner (%s)", (engineName) => {
  let engine: Bls12381Engine // the nodes' and users'; the workers run theirs
  let decryption: DealtCommittee
  let attestation: DealtCommittee
  let committee: Committee
  const transportSecret = randomSecret()

  beforeAll(async () => {
    engine = await createMclEngine()
    decryption = aCommittee(engine, 2, 3)
    attestation = aCommittee(engine, 2, 3)
    committee = {
      epoch: EPOCH,
      suiteId: toHex(new Uint8Array(32)),
      threshold: 2,
      nodes: [1, 2, 3].map((id) => ({
        id,
        identity: ZERO,
        endpoint: "",
        decryptionKey: toHex(decryption.dealt.verificationKeys[id - 1]!),
        attestationKey: toHex(attestation.dealt.verificationKeys[id - 1]!)
      })),
      decryptionKey: toHex(decryption.dealt.publicKey),
      attestationKey: toHex(attestation.dealt.publicKey),
      scheme: "bls",
      isRetired: false
    }
  })

  const use = <Result>(ask: (combiner: Combiner["Service"]) => Effect.Effect<Result, CombinerUnavailable>): Promise<Result> =>
    Effect.runPromise(
      Combiner.pipe(Effect.flatMap(ask), Effect.provide(layer({ engine: engineName, workers: 2, queueMax: 64 })))
    )
  const combine = (...tasks: ReadonlyArray<CombineTask>): Promise<ReadonlyArray<Combined>> =>
    use((combiner) => combiner.combine(committee, tasks))

  const identityOf = (handle: Uint8Array) => identityBytes({ chainId: CHAIN, registry: fromHex(REGISTRY), handle })
  const hashOf = (handle: Uint8Array) => hashIdentity(engine, decryption.dealt.publicKey, identityOf(handle))

  const aTask = (
    kind: "public" | "user",
    options: { readonly plaintexts?: ReadonlyArray<string>; readonly nodes?: ReadonlyArray<number>; readonly epoch?: number } = {}
  ): CombineTask & { answers: Array<{ nodeId: number; shares: Array<Uint8Array> }>; ciphertexts: Array<Uint8Array> } => {
    const plaintexts = options.plaintexts ?? ["yes"]
    const handles = plaintexts.map(() => someBytes(32))
    const requestId = someBytes(32)
    const transportKey = kind === "user" ? transportKeyOf(engine, transportSecret) : new Uint8Array(0)
    const shareOf = (nodeId: number, handle: Uint8Array) =>
      kind === "public"
        ? makeShare(engine, decryption.secretOf(nodeId), hashOf(handle))
        : makeEncryptedShare(engine, {
            secret: decryption.secretOf(nodeId),
            hashed: hashOf(handle),
            transportKey: readTransportKey(engine, transportKey),
            requestId,
            handle
          })
    return {
      requestId: toHex(requestId),
      registry: REGISTRY,
      request: {
        chainId: CHAIN,
        gateway: ZERO,
        kind,
        requester: ZERO,
        account: ZERO,
        epoch: EPOCH,
        deadline: 0,
        callbackGas: 0,
        salt: toHex(new Uint8Array(32)),
        handles: handles.map(toHex),
        transportKey: toHex(transportKey)
      },
      answers: (options.nodes ?? [1, 2, 3]).map((nodeId) => ({
        nodeId,
        shares: handles.map((handle) => shareOf(nodeId, handle))
      })),
      ciphertexts:
        kind === "user"
          ? []
          : plaintexts.map((plaintext, index) =>
              sealCiphertext(
                engine,
                { publicKey: decryption.key.publicKey, epoch: options.epoch ?? EPOCH, identity: identityOf(handles[index]!) },
                new TextEncoder().encode(plaintext)
              )
            )
    }
  }

  test("a public request comes back as its plaintexts, with seeds that open each ciphertext again", async () => {
    const task = aTask("public", { plaintexts: ["one", "", "three"] })
    const [done] = await combine(task)
    if (done?.type !== "public") return expect.fail(`is public, not ${done?.type}`)
    expect(bytesArray(done.result).map((item) => Buffer.from(item.slice(2), "hex").toString())).toEqual(["one", "", "three"])
    expect([done.nodes, done.liars]).toEqual([[1, 2], []])
    const again = done.sigmas.map((sigma, index) =>
      openWithSeed(engine, parseCiphertext(task.ciphertexts[index]!), identityOf(fromHex(task.request.handles[index]!)), sigma)
    )
    expect(again.map((bytes) => Buffer.from(bytes).toString())).toEqual(["one", "", "three"])
  })

  test("a user request comes back as encrypted keys that its transport secret opens", async () => {
    const task = aTask("user", { plaintexts: ["a", "b"], nodes: [3, 1] })
    const [done] = await combine(task)
    if (done?.type !== "user") return expect.fail(`is user, not ${done?.type}`)
    expect([done.nodes, done.liars]).toEqual([[3, 1], []])
    for (const [index, encryptedKey] of bytesArray(done.result).entries()) {
      const hashed = hashOf(fromHex(task.request.handles[index]!))
      const opening = { transportSecret, encryptedKey: fromHex(encryptedKey), publicKey: decryption.key.publicKey.point, hashed }
      expect(() => openEncryptedKey(engine, opening)).not.toThrow()
    }
  })

  test("many requests of both kinds come back in order, one liar among them named and replaced", async () => {
    const tasks = Array.from({ length: engineName === "mcl" ? 24 : 4 }, (_, index) =>
      aTask(index % 3 === 0 ? "user" : "public", { plaintexts: [`p${index}`] })
    )
    tasks[2]!.answers[0]!.shares = tasks[1]!.answers[0]!.shares
    const results = await combine(...tasks)
    expect(results.map(({ type }) => type)).toEqual(tasks.map(({ request }) => request.kind))
    const liars = results.map((done) => ("liars" in done ? done.liars : done.type))
    expect(liars).toEqual(tasks.map((_, index) => (index === 2 ? [1] : [])))
    expect(results[2]).toMatchObject({ nodes: [2, 3], liars: [1] })
  })

  test.each(["public", "user"] as const)("fewer than k right answers to a %s request are too few", async (kind) => {
    const [task, alone] = [aTask(kind), aTask(kind, { nodes: [2] })]
    const foreign = aTask(kind)
    task.answers[0]!.shares = foreign.answers[0]!.shares
    task.answers[2]!.shares = [new Uint8Array(kind === "public" ? 48 : 192)]
    const results = await combine(task, alone)
    expect(results.map((done) => ({ ...done, liars: "liars" in done ? done.liars.toSorted() : [] }))).toEqual([
      { type: "too-few", liars: [1, 3] },
      { type: "too-few", liars: [] }
    ])
  })

  test("an answer without a share for each handle is a lie", async () => {
    const task = aTask("public", { plaintexts: ["x", "y"] })
    task.answers[0]!.shares = task.answers[0]!.shares.slice(0, 1)
    expect((await combine(task))[0]).toMatchObject({ type: "public", nodes: [2, 3], liars: [1] })
  })

  test("a ciphertext that was made wrong is named, and hurts no other request", async () => {
    const [tampered, foreign, stale, good] = [
      aTask("public", { plaintexts: ["a", "b"] }),
      aTask("public"),
      aTask("public", { epoch: EPOCH + 1 }),
      aTask("public")
    ]
    tampered.ciphertexts[1] = tampered.ciphertexts[1]!.with(20, 0x1f)
    foreign.ciphertexts[0] = good.ciphertexts[0]!
    expect(await combine(tampered, foreign, stale, good)).toMatchObject([
      { type: "ciphertext-malformed", handle: tampered.request.handles[1], reason: "c1 is not a point" },
      { type: "ciphertext-malformed", handle: foreign.request.handles[0], reason: "wrong opening" },
      { type: "ciphertext-malformed", handle: stale.request.handles[0], reason: "wrong epoch" },
      { type: "public" }
    ])
  })

  test("a transport key that is no usable point is said so", async () => {
    const task = aTask("user")
    const bad = { ...task, request: { ...task.request, transportKey: toHex(new Uint8Array(48).with(0, 0xc0)) } }
    expect(await combine(bad, task)).toMatchObject([{ type: "transport-key-invalid" }, { type: "user" }])
  })

  test("attestation parts combine; a wrong part is replaced; fewer than k are too few", async () => {
    const digest = someBytes(32)
    const part = (nodeId: number, of = digest) => ({
      nodeId,
      part: makeAttestationShare(engine, attestation.secretOf(nodeId), of)
    })
    const ask = (...parts: ReadonlyArray<ReturnType<typeof part>>) =>
      use((combiner) => combiner.combineAttestation(committee, toHex(digest), parts))
    const done = await ask(part(1, someBytes(32)), part(2), part(3))
    if (done.type !== "attested") return expect.fail("is attested")
    expect(done.liars).toEqual([1])
    expect(done.attestation).toHaveLength(128)
    const [x, y] = [done.attestation.slice(16, 64), done.attestation.slice(80)]
    // Compressed form: the flag says whether y is the larger root; one of the two verifies.
    expect(y).toHaveLength(48)
    const verifies = [0x80, 0xa0].map((flags) =>
      verifyAttestation(engine, attestation.key.publicKey.point, digest, x.with(0, x[0]! | flags))
    )
    expect(verifies.toSorted()).toEqual([false, true])
    expect(await ask(part(1, someBytes(32)), part(2))).toEqual({ type: "too-few", liars: [1] })
    expect(await ask(part(3))).toEqual({ type: "too-few", liars: [] })
  })

  test("a committee record that cannot be is a defect, not something to try again", async () => {
    const wrong = { ...committee, decryptionKey: committee.attestationKey }
    const exit = await Effect.runPromiseExit(
      Combiner.pipe(
        Effect.flatMap((combiner) => combiner.combine(wrong, [aTask("public")])),
        Effect.provide(layer({ engine: engineName, workers: 1, queueMax: 4 }))
      )
    )
    expect(Exit.isFailure(exit) && Cause.hasDies(exit.cause)).toBe(true)
  })

  test("a message of several jobs is not refused for its own length: the rest of it waits outside of the queue", async () => {
    const tasks = Array.from({ length: 3 }, () => aTask("public", { plaintexts: Array.from({ length: 9 }, () => "x") }))
    const results = await Effect.runPromise(
      Combiner.pipe(
        Effect.flatMap((combiner) => combiner.combine(committee, tasks)),
        Effect.provide(layer({ engine: engineName, workers: 1, queueMax: 0 }))
      )
    )
    expect(results.map(({ type }) => type)).toEqual(["public", "public", "public"])
  })

  test("the workers end with the layer's scope", async () => {
    const combiner = await use((given) => Effect.succeed(given)) // its scope has closed
    const exit = await Effect.runPromiseExit(combiner.combine(committee, [aTask("public")]))
    const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
    expect(error).toBeInstanceOf(CombinerUnavailable)
    expect(error).toMatchObject({ reason: "pool closed", fate: "retry" })
  })

  test("jobs are whole requests of at most 16 handles together, unless one request alone has more", () => {
    const task = (handles: number) => {
      const one = aTask("user", { plaintexts: ["x"], nodes: [] })
      return { ...one, request: { ...one.request, handles: Array.from({ length: handles }, () => one.request.handles[0]!) } }
    }
    const sizes = (...handles: ReadonlyArray<number>) =>
      jobsOf(handles.map(task)).map((job) => job.map((one) => one.request.handles.length))
    expect(sizes()).toEqual([])
    expect(sizes(1, 15, 1)).toEqual([[1, 15], [1]])
    expect(sizes(32, 1, 1)).toEqual([[32], [1, 1]])
    expect(sizes(8, 9, 8)).toEqual([[8], [9], [8]])
  })
})
