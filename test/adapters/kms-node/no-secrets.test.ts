/**
 * What a node logs, answers to refused calls and writes down contains no secret, no share and no plaintext, however a call ends.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Layer, Schema } from "effect"
import { afterAll, beforeAll, expect, test } from "vitest"
import { nodeDirectory, KEY_FILE } from "../../../src/adapters/kms-node/deal-files.ts"
import { fileShareVaultLayer, IDENTITY_FILE } from "../../../src/adapters/kms-node/file-share-vault.layer.ts"
import { shareNodesLayer } from "../../../src/adapters/kms-node/share-nodes.layer.ts"
import { localKeyEncryptionKeyLayer } from "../../../src/adapters/local-keys/key-encryption-key.layer.ts"
import { requestIdOf } from "../../../src/domain/request.ts"
import type { ShareAnswer } from "../../../src/domain/share.ts"
import { ShareNodes } from "../../../src/journey/4-shares-collected/share-node.port.ts"
import { IdentityFile, openIdentity } from "../../../src/kms-node/sealed-files.ts"
import { NodeChainView } from "../../../src/kms-node/node-chain-view.port.ts"
import { ShareVault } from "../../../src/kms-node/share-vault.port.ts"
import { encodeResult } from "../../../src/threshold/result-encoding.ts"
import { chainDouble, type ChainDouble } from "../../support/chain-double.ts"
import {
  dealCommittee,
  type DealtCommittee,
  type KmsCommittee,
  serverNameOf,
  startCommittee
} from "../../support/kms-committee.ts"
import { requestsOn, rootOf } from "../../support/kms-requests.ts"
import { logSink } from "../../support/log-sink.ts"

const PLAINTEXT = "PLANTED-PLAINTEXT-7f3a"
const CAUSE = "PLANTED-CAUSE-91bc"

let dealt: DealtCommittee
let chain: ChainDouble
let kms: KmsCommittee
const logs = logSink()
/** What must be nowhere, in every form in which text might show it. */
const markers: Array<string> = []
const plant = (bytes: Uint8Array) => {
  const buffer = Buffer.from(bytes)
  markers.push(
    buffer.toString("hex"),
    buffer.toString("base64").slice(0, 40),
    buffer.toString("latin1"),
    [...buffer.subarray(0, 8)].join(",")
  )
}

const plantSecretsOf = async (id: number) => {
  const directory = nodeDirectory(dealt.directory, id)
  const key = localKeyEncryptionKeyLayer({ path: join(directory, KEY_FILE) })
  const identity = Schema.decodeUnknownSync(IdentityFile)(JSON.parse(readFileSync(join(directory, IDENTITY_FILE), "utf8")))
  await Effect.runPromise(
    Effect.gen(function* () {
      const secrets = (yield* (yield* ShareVault).secrets(1))!
      ;[secrets.decryption, secrets.attestation, yield* openIdentity("identity", identity)].forEach(plant)
    }).pipe(Effect.provide(Layer.merge(fileShareVaultLayer({ directory }).pipe(Layer.provide(key)), key)))
  )
  plant(readFileSync(join(directory, KEY_FILE)))
}

let isBroken = false
beforeAll(async () => {
  dealt = await dealCommittee()
  chain = chainDouble(dealt.committee)
  const view: typeof chain.view = {
    ...chain.view,
    inspect: (request) => (isBroken ? Effect.die(new TypeError(CAUSE)) : chain.view.inspect(request))
  }
  kms = await startCommittee(dealt, { chainView: Layer.succeed(NodeChainView, view), logs })
  for (const { id } of dealt.committee.nodes) await plantSecretsOf(id)
  markers.push(PLAINTEXT, Buffer.from(PLAINTEXT).toString("hex"), CAUSE)
})
afterAll(() => dealt.remove())

test("good calls, refused calls, broken calls and the end leave no trace of what is secret", async () => {
  const requests = requestsOn(dealt.engine, chain)
  const seen: Array<string> = []
  const layer = shareNodesLayer({ security: kms.gatewaySecurity(), serverNameOf })
  const using = <A>(ask: (nodes: ShareNodes["Service"]) => Effect.Effect<A, unknown>) =>
    Effect.runPromise(
      Effect.flatMap(ShareNodes, ask).pipe(
        Effect.tapError((error) =>
          Effect.sync(() => seen.push(JSON.stringify(error), String(error), (error as Error).stack ?? ""))
        ),
        Effect.result,
        Effect.provide(layer)
      )
    )
  const value = await requests.publish("public", new Uint8Array(Buffer.from(PLAINTEXT)))
  const request = await chain.requestPublic([value.handle])
  const id = requestIdOf(request)
  const answers: Array<ShareAnswer> = []
  for (const node of [1, 2]) {
    const answer = await using((nodes) => nodes.share(kms.node(node), id, request))
    if (answer._tag === "Success") answers.push(answer.success)
  }
  expect(answers.length).toBe(2)
  for (const { shares } of answers) shares.forEach(plant)

  const good = requests.resultOf(request, answers, [value])
  for (const { sigma } of good.openings) plant(sigma)
  expect((await using((nodes) => nodes.attest(kms.node(1), rootOf([good]), [good])))._tag).toBe("Success")
  const wrong = { ...good, result: encodeResult([Buffer.from(`${PLAINTEXT}!`)]) }
  expect((await using((nodes) => nodes.attest(kms.node(1), rootOf([wrong]), [wrong])))._tag).toBe("Failure")
  const { handle } = await requests.publish("nobody")
  const denied = await chain.requestPublic([handle])
  expect((await using((nodes) => nodes.share(kms.node(1), requestIdOf(denied), denied)))._tag).toBe("Failure")
  isBroken = true
  expect((await using((nodes) => nodes.share(kms.node(1), id, request)))._tag).toBe("Failure")
  await kms.stop()

  const files = dealt.committee.nodes.flatMap((node) => {
    const directory = nodeDirectory(dealt.directory, node.id)
    return readdirSync(directory)
      .filter((name) => name !== KEY_FILE)
      .map((name) => readFileSync(join(directory, name), "latin1"))
  })
  expect(logs.text()).toContain("KMS node serves")
  expect(logs.text()).toContain("a call failed for a reason of ours")
  expect(seen.length).toBeGreaterThan(6)
  const everything = [logs.text(), ...seen, ...files].join("\n")
  for (const marker of markers) expect(everything.includes(marker), `found ${marker.slice(0, 12)}...`).toBe(false)
})
