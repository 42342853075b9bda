/**
 * Starts one KMS node: the gRPC server around `src/kms-node`. It lives as long as its scope; closing that stops taking calls,
 * lets those under way finish, and only then lets go of the secrets (whose layers were there first).
 */
import { logVerbosity, Server, type ServerOptions, setLogVerbosity } from "@grpc/grpc-js"
import { Context, Effect, Schema, type Scope } from "effect"
import type { Fate } from "../../domain/fate.ts"
import type { Hex } from "../../domain/hex.ts"
import { fromHex } from "../../domain/hex.ts"
import type { AnswerLog } from "../../kms-node/answer-log.port.ts"
import type { AttestAnswer } from "../../kms-node/attest-results.ts"
import { type Description, type KmsNode, type KmsNodeSettings, makeKmsNode } from "../../kms-node/kms-node.ts"
import type { NodeChainView } from "../../kms-node/node-chain-view.port.ts"
import { type Refusal, refuse } from "../../kms-node/refusal.ts"
import { ShareVault } from "../../kms-node/share-vault.port.ts"
import { unaryHandler } from "./call-handler.ts"
import { HealthService } from "./generated/grpc/health/v1/health.ts"
import type * as proto from "./generated/portcullis/kms/v1/kms_node.ts"
import { healthService } from "./health-service.ts"
import { type Security, serverCredentials } from "./security.ts"
import { ATTEST_REQUEST_BYTES_MAX, kmsNodeService } from "./service-definition.ts"
import { readBatch, readFacts, WireFault, writeAnswer } from "./wire.ts"

/** Longer than any caller of ours waits; it only frees what a caller without a deadline would hold. */
const ANSWER_MS_MAX = 10_000
/** A call takes milliseconds; what is still open after this is not going to end. */
const DRAIN_MS_MAX = 5_000

const SERVER_OPTIONS: ServerOptions = {
  "grpc.max_receive_message_length": ATTEST_REQUEST_BYTES_MAX,
  "grpc.max_concurrent_streams": 512,
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.max_connection_idle_ms": 600_000
}

export interface KmsNodeOptions extends KmsNodeSettings {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  readonly security: Security
  readonly answerMsMax?: number
  readonly drainMsMax?: number
}

export interface KmsNodeHandle {
  readonly host: string
  readonly port: number
  readonly nodeId: number
  readonly identity: Hex
  readonly epochs: ReadonlyArray<number>
}

/** The node does not serve: its options contradict each other, or the address is taken. */
export class KmsNodeNotStarted extends Schema.TaggedError<KmsNodeNotStarted>()("KmsNodeNotStarted", { reason: Schema.String }) {
  readonly fate: Fate = "halt"
  override get message() {
    return this.reason
  }
}

type Needs = ShareVault | NodeChainView | AnswerLog

const writeAttestation = ({ root, nodeId, part }: AttestAnswer): proto.AttestAnswer => ({
  root: Buffer.from(fromHex(root)),
  nodeId,
  part: Buffer.from(part)
})

const writeDescription = (description: Description): proto.DescribeAnswer => ({
  ...description,
  identity: Buffer.from(fromHex(description.identity)),
  epochs: [...description.epochs],
  clockMs: BigInt(description.clockMs)
})

const read = <A>(value: A | WireFault): Effect.Effect<A, Refusal> =>
  value instanceof WireFault ? Effect.fail(refuse("malformed", value.fault)) : Effect.succeed(value)

const handlers = (node: KmsNode, context: Context.Context<Needs>, answerMsMax: number) => {
  const options = (method: string) => ({ method, context, answerMsMax })
  return {
    share: unaryHandler(options("Share"), (message: proto.ShareRequest, caller) =>
      read(readFacts(message.request)).pipe(
        Effect.flatMap((request) => node.share(request, caller)),
        Effect.map(writeAnswer)
      )
    ),
    attest: unaryHandler(options("Attest"), (message: proto.AttestRequest, caller) =>
      read(readBatch(message)).pipe(
        Effect.flatMap((batch) => node.attest(batch, caller)),
        Effect.map(writeAttestation)
      )
    ),
    describe: unaryHandler(options("Describe"), () => Effect.map(node.describe, writeDescription))
  }
}

const bind = (server: Server, { host, port, security }: KmsNodeOptions) =>
  Effect.callback<number, KmsNodeNotStarted>((resume) => {
    const address = `${host.includes(":") ? `[${host}]` : host}:${port}`
    try {
      server.bindAsync(address, serverCredentials(security), (error, bound) =>
        resume(
          error === null
            ? Effect.succeed(bound)
            : Effect.fail(new KmsNodeNotStarted({ reason: `cannot listen on ${address}: ${error.message}` }))
        )
      )
    } catch {
      // Only credentials throw here; what they quote may be a private key.
      resume(
        Effect.fail(new KmsNodeNotStarted({ reason: "the certificate, its private key or the authority is not usable PEM" }))
      )
    }
  })

const stop = (server: Server, drainMsMax: number) =>
  Effect.callback<void>((resume) => server.tryShutdown(() => resume(Effect.void))).pipe(
    Effect.timeoutOrElse({ duration: drainMsMax, orElse: () => Effect.sync(() => server.forceShutdown()) })
  )

/** `fault` is for tests and chaos only and is refused when `isProduction`. */
export const startKmsNode = (options: KmsNodeOptions): Effect.Effect<KmsNodeHandle, KmsNodeNotStarted, Needs | Scope.Scope> =>
  Effect.gen(function* () {
    if (options.isProduction && options.fault !== undefined) {
      return yield* new KmsNodeNotStarted({ reason: "a production node cannot be told to misbehave" })
    }
    const vault = yield* ShareVault
    const context = yield* Effect.context<Needs>()
    setLogVerbosity(logVerbosity.NONE) // it writes to stderr past every logger; what fails is reported here
    const health = healthService()
    const server = new Server(SERVER_OPTIONS)
    server.addService(kmsNodeService, handlers(makeKmsNode(options), context, options.answerMsMax ?? ANSWER_MS_MAX))
    server.addService(HealthService, health.service)
    const port = yield* Effect.acquireRelease(bind(server, options), () =>
      Effect.suspend(() => {
        health.drain()
        return stop(server, options.drainMsMax ?? DRAIN_MS_MAX)
      })
    )
    const { nodeId, identity, epochs } = vault
    yield* Effect.logInfo("KMS node serves").pipe(
      Effect.annotateLogs({ nodeId, identity, epochs, host: options.host, port, tls: "mutualTls" in options.security })
    )
    if (options.isProduction && vault.isForDevelopment) {
      yield* Effect.logWarning("this node's keys were dealt for development: whoever dealt them can decrypt everything")
    }
    if (options.fault !== undefined)
      yield* Effect.logWarning("this node misbehaves on order").pipe(Effect.annotateLogs({ fault: options.fault }))
    return { host: options.host, port, nodeId, identity, epochs }
  })
