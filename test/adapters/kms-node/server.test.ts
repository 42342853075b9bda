/**
 * What a KMS node's server does with callers it does not know, messages it cannot read, too many of them, and the end of its
 * life.
 */
import { ChannelCredentials, Client, Metadata, type ServiceError, status } from "@grpc/grpc-js"
import { Effect, Exit, Layer, Scope } from "effect"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { devAuthority } from "../../../src/adapters/dev-certificates/dev-certificates.ts"
import {
  HealthClient,
  HealthCheckResponse_ServingStatus as Serving
} from "../../../src/adapters/kms-node/generated/grpc/health/v1/health.ts"
import { AttestRequest, ShareAnswer, ShareRequest } from "../../../src/adapters/kms-node/generated/portcullis/kms/v1/kms_node.ts"
import { readRefusal } from "../../../src/adapters/kms-node/refusal-trailer.ts"
import { channelCredentials, type Security } from "../../../src/adapters/kms-node/security.ts"
import { startKmsNode } from "../../../src/adapters/kms-node/server.ts"
import { ATTEST_REQUEST_BYTES_MAX, SHARE_REQUEST_BYTES_MAX } from "../../../src/adapters/kms-node/service-definition.ts"
import { shareNodesLayer } from "../../../src/adapters/kms-node/share-nodes.layer.ts"
import { writeFacts } from "../../../src/adapters/kms-node/wire.ts"
import { toHex } from "../../../src/domain/hex.ts"
import { requestIdOf } from "../../../src/domain/request.ts"
import { ShareNodes } from "../../../src/journey/4-shares-collected/share-node.port.ts"
import { AnswerLog } from "../../../src/kms-node/answer-log.port.ts"
import { NodeChainView } from "../../../src/kms-node/node-chain-view.port.ts"
import { ShareVault } from "../../../src/kms-node/share-vault.port.ts"
import { type ChainDouble, chainDouble } from "../../support/chain-double.ts"
import { eventually } from "../../support/eventually.ts"
import {
  dealCommittee,
  type DealtCommittee,
  type KmsCommittee,
  serverNameOf,
  startCommittee
} from "../../support/kms-committee.ts"
import { requestsOn } from "../../support/kms-requests.ts"
import { logSink } from "../../support/log-sink.ts"

let dealt: DealtCommittee
let chain: ChainDouble
let kms: KmsCommittee
let requests: ReturnType<typeof requestsOn>

beforeAll(async () => {
  dealt = await dealCommittee({ threshold: 1, nodes: 1 })
  chain = chainDouble(dealt.committee)
  kms = await startCommittee(dealt, { chainView: chain.layer })
  requests = requestsOn(dealt.engine, chain)
})
afterAll(async () => {
  await kms.stop()
  await dealt.remove()
})

const SHARE = "/portcullis.kms.v1.KmsNode/Share"
const ATTEST = "/portcullis.kms.v1.KmsNode/Attest"

/** Raw bytes to a method: what the node says about them. */
const send = (
  path: string,
  bytes: Uint8Array,
  credentials = channelCredentials(kms.gatewaySecurity()),
  endpoint = kms.node(1).endpoint
) =>
  new Promise<ServiceError | Buffer>((resolve) => {
    const client = new Client(endpoint, credentials, {
      "grpc.enable_retries": 0,
      "grpc.max_send_message_length": -1,
      "grpc.ssl_target_name_override": serverNameOf(kms.node(1))
    })
    const same = (value: Buffer) => value
    client.makeUnaryRequest(
      path,
      same,
      same,
      Buffer.from(bytes),
      new Metadata(),
      { deadline: Date.now() + 5_000 },
      (error, answer) => {
        client.close()
        resolve(error ?? answer!)
      }
    )
  })
const refusalOf = async (sent: Promise<ServiceError | Buffer>) => {
  const answer = await sent
  if (answer instanceof Uint8Array) return { code: status.OK, refusal: undefined }
  return { code: answer.code, refusal: readRefusal(answer.metadata) }
}
const publicRequest = async () => {
  const { handle } = await requests.publish("public")
  return chain.requestPublic([handle])
}
const shareBytes = async () => ShareRequest.encode({ request: writeFacts(await publicRequest()) }).finish()
const ask = (security: Security, to = kms) =>
  Effect.gen(function* () {
    const request = yield* Effect.promise(publicRequest)
    const nodes = yield* ShareNodes
    return yield* nodes.share(to.node(1), requestIdOf(request), request)
  }).pipe(Effect.provide(shareNodesLayer({ security, serverNameOf, timeoutMs: 2_000 })))

describe("a caller gets no further than the handshake", () => {
  const strangers = devAuthority(Date.now())
  test.each<readonly [string, () => ChannelCredentials]>([
    ["without a certificate", () => ChannelCredentials.createSsl(Buffer.from(kms.authority.authority))],
    ["in plain text", () => ChannelCredentials.createInsecure()],
    [
      "with a certificate of another authority",
      () => channelCredentials({ mutualTls: { authority: kms.authority.authority, ...strangers.client("gateway-1") } })
    ],
    [
      "with a node's certificate, which is for serving",
      () => channelCredentials({ mutualTls: { authority: kms.authority.authority, ...kms.authority.server(["127.0.0.1"]) } })
    ]
  ])("%s", async (_, credentials) => {
    const [asked, answer] = [chain.inspections(), await refusalOf(send(SHARE, await shareBytes(), credentials()))]
    expect(answer).toEqual({ code: status.UNAVAILABLE, refusal: undefined })
    expect(chain.inspections()).toBe(asked)
  })
})

test("a caller does not talk to a server of another authority, or of another name", async () => {
  const strangers = devAuthority(Date.now())
  const distrusting: Security = { mutualTls: { authority: strangers.authority, ...kms.authority.client("gateway-1") } }
  expect(await Effect.runPromise(Effect.flip(ask(distrusting)))).toMatchObject({ _tag: "NodeUnavailable" })
  const request = await publicRequest()
  const named = ShareNodes.pipe(
    Effect.flatMap((nodes) => nodes.share(kms.node(1), requestIdOf(request), request)),
    Effect.flip,
    Effect.provide(
      shareNodesLayer({ security: kms.gatewaySecurity(), serverNameOf: () => "kms-9.example.org", timeoutMs: 2_000 })
    )
  )
  expect(await Effect.runPromise(named)).toMatchObject({ _tag: "NodeUnavailable" })
})

test("a node that is asked at an IP address has to have it in its certificate", async () => {
  const everywhere = await startCommittee(dealt, { chainView: chain.layer, host: "0.0.0.0" })
  const asked = (host: string, names: { serverNameOf?: typeof serverNameOf } = {}) =>
    Effect.gen(function* () {
      const request = yield* Effect.promise(publicRequest)
      const nodes = yield* ShareNodes
      const node = { ...everywhere.node(1), endpoint: everywhere.node(1).endpoint.replace(/^[^:]+/, host) }
      return yield* nodes.share(node, requestIdOf(request), request)
    }).pipe(
      Effect.provide(shareNodesLayer({ security: everywhere.gatewaySecurity(), timeoutMs: 2_000, ...names })),
      Effect.result,
      Effect.runPromise
    )
  expect(await asked("127.0.0.1")).toMatchObject({ _tag: "Success" })
  expect(await asked("127.0.0.2")).toMatchObject({ failure: { _tag: "NodeUnavailable" } })
  expect(await asked("127.0.0.2", { serverNameOf })).toMatchObject({ _tag: "Success" })
  await everywhere.stop()
})

test("callers are known by the subject of their certificate", async () => {
  await Effect.runPromise(ask(kms.gatewaySecurity("gateway-seven")))
  expect((await kms.answerLog(1)).at(-1)).toMatchObject({ type: "share", caller: "cert:gateway-seven" })
})

describe("a message that cannot be read is refused as malformed", () => {
  const malformed = { code: status.INVALID_ARGUMENT, refusal: expect.objectContaining({ reason: "malformed", fate: "refuse" }) }

  test.each<readonly [string, string, () => Uint8Array]>([
    ["an empty share request", SHARE, () => new Uint8Array()],
    [
      "a cut share request",
      SHARE,
      () =>
        ShareRequest.encode({ request: writeFacts(GOOD) })
          .finish()
          .subarray(0, 40)
    ],
    ["a wrong wire type", SHARE, () => Buffer.from("0dffffffff", "hex")],
    ["a length beyond the end", SHARE, () => Buffer.from("0affffffff0f", "hex")],
    ["an unknown kind", SHARE, () => ShareRequest.encode({ request: { ...writeFacts(GOOD), kind: 9 as 1 } }).finish()],
    [
      "a deadline of 2^64 - 1",
      SHARE,
      () => ShareRequest.encode({ request: { ...writeFacts(GOOD), deadline: 2n ** 64n - 1n } }).finish()
    ],
    ["a share request that is too long", SHARE, () => new Uint8Array(SHARE_REQUEST_BYTES_MAX + 1)],
    ["an empty batch", ATTEST, () => AttestRequest.encode({ epoch: 1, expiry: 1n, results: [] }).finish()],
    ["a result without a request", ATTEST, () => Buffer.from("1a00", "hex")]
  ])("%s", async (_, path, bytes) => {
    expect(await refusalOf(send(path, bytes()))).toEqual(malformed)
  })

  test("any bytes at all, and the node answers the next one", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(SHARE, ATTEST), fc.uint8Array({ maxLength: 300 }), async (path, bytes) => {
        const { code } = await refusalOf(send(path, bytes))
        expect([status.INVALID_ARGUMENT, status.NOT_FOUND]).toContain(code)
      }),
      { numRuns: 60 }
    )
    expect(await refusalOf(send(SHARE, await shareBytes()))).toEqual({ code: status.OK, refusal: undefined })
  })

  test("one altered byte of a good request is refused, unless it still says the same request", async () => {
    const request = await publicRequest()
    const good = ShareRequest.encode({ request: writeFacts(request) }).finish()
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
        const altered = Uint8Array.from(good)
        altered[at]! ^= mask
        const answer = await send(SHARE, altered)
        if (answer instanceof Uint8Array) expect(toHex(ShareAnswer.decode(answer).requestId)).toBe(requestIdOf(request))
        else expect(readRefusal(answer.metadata)?.reason).toMatch(/^(malformed|unknown-request)$/)
      }),
      { numRuns: 120 }
    )
  })

  test("a message beyond any limit is not even received", async () => {
    expect((await refusalOf(send(ATTEST, new Uint8Array(ATTEST_REQUEST_BYTES_MAX + 1)))).code).toBe(status.RESOURCE_EXHAUSTED)
  })
})

test("a caller that asks too much is told when to come back, and others are not", async () => {
  const limited = await startCommittee(dealt, {
    chainView: chain.layer,
    limits: { handlesPerSecond: 1, handlesBurst: 3, concurrentCalls: 10 }
  })
  const greedy = ask(limited.gatewaySecurity("greedy"), limited)
  const outcomes = await Effect.runPromise(Effect.forEach(Array.from({ length: 6 }), () => Effect.result(greedy)))
  const refused = outcomes.flatMap((outcome) => (outcome._tag === "Failure" ? [outcome.failure] : []))
  expect(refused.length).toBeGreaterThanOrEqual(2)
  for (const error of refused) expect(error).toMatchObject({ _tag: "NodeUnavailable", reason: "too-many-requests" })
  expect(refused[0]).toHaveProperty(
    "retryAfterMs",
    expect.toSatisfy((ms: number) => ms > 0 && ms <= 1_000)
  )
  expect((await Effect.runPromise(ask(limited.gatewaySecurity("modest"), limited))).nodeId).toBe(1)
  await limited.stop()
})

describe("grpc.health.v1", () => {
  const health = (to: KmsCommittee) =>
    new HealthClient(to.node(1).endpoint, channelCredentials(to.gatewaySecurity()), {
      "grpc.ssl_target_name_override": serverNameOf(to.node(1))
    })
  const check = (client: HealthClient, service: string) =>
    new Promise<number>((resolve) =>
      client.check({ service }, (error, answer) => resolve(error === null ? answer.status : -error.code))
    )

  test("the server and its service serve, and nothing else is known", async () => {
    const client = health(kms)
    expect(await check(client, "")).toBe(Serving.SERVING)
    expect(await check(client, "portcullis.kms.v1.KmsNode")).toBe(Serving.SERVING)
    expect(await check(client, "other")).toBe(-status.NOT_FOUND)
    client.close()
  })

  test("a watcher hears of the end before it comes", async () => {
    const ending = await startCommittee(dealt, { chainView: chain.layer })
    const client = health(ending)
    const heard: Array<number> = []
    const stream = client.watch({ service: "" })
    stream.on("data", ({ status: now }: { status: number }) => heard.push(now))
    stream.on("error", () => undefined)
    await eventually("the watcher hears that it serves", () => heard.length > 0)
    await ending.stop()
    await eventually("the watcher hears that it does not", () => heard.length > 1)
    expect(heard).toEqual([Serving.SERVING, Serving.NOT_SERVING])
    client.close()
  })
})

test("a node that stops finishes what it has begun, and takes nothing new", async () => {
  let finish: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    finish = resolve
  })
  const view = chain.view
  let asked = 0
  const wait = Effect.promise(() => {
    asked += 1
    return held
  })
  const slow: typeof view = { ...view, inspect: (request) => Effect.andThen(wait, view.inspect(request)) }
  const ending = await startCommittee(dealt, { chainView: layerOf(slow), drainMsMax: 4_000 })
  const begun = Effect.runPromise(ask(ending.gatewaySecurity(), ending))
  await eventually("the node asks the chain", () => asked > 0)
  const stopped = ending.stop()
  expect(await Effect.runPromise(Effect.flip(ask(ending.gatewaySecurity(), ending)))).toMatchObject({ _tag: "NodeUnavailable" })
  finish()
  expect((await begun).nodeId).toBe(1)
  await stopped
})

test("a call that hangs ends with its deadline, and does not hold up the end of the node", async () => {
  const hanging = await startCommittee(dealt, {
    chainView: layerOf({ ...chain.view, inspect: () => Effect.never }),
    answerMsMax: 200,
    drainMsMax: 1_000
  })
  expect(await Effect.runPromise(Effect.flip(ask(hanging.gatewaySecurity(), hanging)))).toMatchObject({
    reason: "chain-unavailable"
  })
  await hanging.stop()
})

describe("a node is not started", () => {
  const attempt = (settings: Partial<Parameters<typeof startKmsNode>[0]>) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const vault = Layer.succeed(ShareVault, {
        nodeId: 1,
        identity: "0x",
        isForDevelopment: false,
        epochs: [],
        signDigest: () => new Uint8Array(),
        secrets: () => Effect.succeed(undefined)
      })
      const log = Layer.succeed(AnswerLog, { record: () => Effect.void })
      const started = startKmsNode({
        engine: dealt.engine,
        version: "test",
        isProduction: false,
        host: "127.0.0.1",
        port: 0,
        security: { insecure: true },
        ...settings
      }).pipe(Effect.provide(Layer.mergeAll(vault, log, chain.layer, logSink().layer)), Scope.provide(scope), Effect.result)
      const result = yield* started
      yield* Scope.close(scope, Exit.void)
      return result._tag === "Failure" ? result.failure : undefined
    }).pipe(Effect.runPromise)

  test("with a fault in production", async () => {
    expect(await attempt({ isProduction: true, fault: "wrong-share" })).toMatchObject({
      _tag: "KmsNodeNotStarted",
      reason: "a production node cannot be told to misbehave"
    })
  })

  test("on an address that is taken", async () => {
    const port = Number(kms.node(1).endpoint.split(":")[1])
    expect((await attempt({ port }))?.message).toMatch(/^cannot listen on 127\.0\.0\.1:\d+: /)
  })

  test("with a private key that is not usable, and does not quote it", async () => {
    const error = await attempt({
      security: { mutualTls: { authority: "x", certificate: "y", privateKey: "PLANTED-PRIVATE-KEY" } }
    })
    expect(error).toMatchObject({ _tag: "KmsNodeNotStarted" })
    expect(JSON.stringify(error) + String(error?.stack)).not.toContain("PLANTED")
  })
})

const layerOf = (view: ChainDouble["view"]) => Layer.succeed(NodeChainView, view)
const GOOD = {
  chainId: 31_337n,
  gateway: `0x${"11".repeat(20)}`,
  kind: "public",
  requester: `0x${"22".repeat(20)}`,
  account: `0x${"00".repeat(20)}`,
  epoch: 1,
  deadline: 1_900_000_000,
  callbackGas: 0,
  salt: `0x${"33".repeat(32)}`,
  handles: [`0x${"44".repeat(32)}`],
  transportKey: "0x"
} as const
