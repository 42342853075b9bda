/**
 * A local EVM chain in a process of its own: anvil, as npm installed it. For development and tests; its keys are public
 * knowledge, so it must never hold anything of value. It lives as long as the scope that started it.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { createRequire } from "node:module"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Schedule, Schema, type Scope } from "effect"
import type { Fate } from "../../domain/fate.ts"

/** Anvil's own default: every developer knows these accounts. */
export const ANVIL_MNEMONIC = "test test test test test test test test test test test junk"
const READY_MS_MAX = 15_000
const READY_POLL_MS = 20
const EXIT_MS_MAX = 5_000
/** Anvil writes down the whole state of each block that it no longer holds in memory (500 of them): left to itself, in the user's home, without a
 * bound that matters, and for ever when it is killed. Twenty minutes at five requests a second came to 5.5 GB. */
const PERSISTED_STATES_MAX = 2_000
/** Somebody else may take a free port between our look and anvil's bind. */
const PORT_TRIES = 3

export interface AnvilOptions {
  /** 0, the default, takes any free port. */
  readonly port?: number
  /** Seconds between blocks, fractions allowed. Without it every transaction is mined at once, in its own block. */
  readonly blockTimeSeconds?: number
  readonly hardfork?: "cancun" | "prague" | "osaka"
  readonly chainId?: number
  readonly mnemonic?: string
  readonly accounts?: number
  /** "finalized" is twice as many blocks behind the head. One, when it is not said, so that tests need not wait for sixty-four. */
  readonly slotsInAnEpoch?: number
}

export interface Anvil {
  /** JSON-RPC over HTTP; WebSocket under the same address with ws://. */
  readonly url: string
  readonly port: number
  readonly chainId: number
  readonly mnemonic: string
  readonly processId: number
}

/** The chain is not there. Nothing was sent to it. */
export class AnvilNotStarted extends Schema.TaggedError<AnvilNotStarted>()("AnvilNotStarted", {
  reason: Schema.Literals(["not-installed", "exited", "not-ready"]),
  detail: Schema.String
}) {
  readonly fate: Fate = "halt"
}

/** The binary of the platform's npm package, `@foundry-rs/anvil-<platform>-<arch>`. */
const binaryPath = Effect.try({
  try: () => {
    const arch = process.arch === "x64" ? "amd64" : process.arch
    const manifest = createRequire(import.meta.url).resolve(`@foundry-rs/anvil-${process.platform}-${arch}/package.json`)
    return join(manifest, "../bin/anvil")
  },
  catch: () =>
    new AnvilNotStarted({
      reason: "not-installed",
      detail: `there is no @foundry-rs/anvil-* for ${process.platform}-${process.arch}: run \`npm ci\`, or name a chain of yours`
    })
})

const freePort = Effect.promise(async () => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, "close")
  return port
})

const stop = (child: ChildProcess) =>
  Effect.gen(function*() {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = Effect.promise(() => once(child, "exit"))
    child.kill("SIGTERM")
    yield* Effect.timeoutOrElse(exited, {
      duration: EXIT_MS_MAX,
      orElse: () => {
        child.kill("SIGKILL")
        return exited
      }
    })
  })

const chainIdAt = (url: string) =>
  Effect.tryPromise({
    try: async (signal) => {
      const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] })
      const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body, signal })
      const answer = (await response.json()) as { readonly result: string }
      return Number(BigInt(answer.result))
    },
    catch: (cause) => new AnvilNotStarted({ reason: "not-ready", detail: String(cause) })
  })

const launch = (binary: string, port: number, options: AnvilOptions) =>
  Effect.gen(function*() {
    const mnemonic = options.mnemonic ?? ANVIL_MNEMONIC
    const states = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "portcullis-anvil-"))),
      (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
    )
    const settings = {
      host: "127.0.0.1",
      port,
      hardfork: options.hardfork ?? "prague",
      "chain-id": options.chainId ?? 31_337,
      mnemonic,
      accounts: options.accounts ?? 10,
      "slots-in-an-epoch": options.slotsInAnEpoch ?? 1,
      "cache-path": states,
      "max-persisted-states": PERSISTED_STATES_MAX,
      ...(options.blockTimeSeconds === undefined ? {} : { "block-time": options.blockTimeSeconds })
    }
    const args = ["--quiet", ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, `${value}`])]
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => spawn(binary, args, { stdio: ["ignore", "ignore", "pipe"] })),
      stop
    )
    let complaint = ""
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      complaint = (complaint + text).slice(-500)
    })
    const exited = Effect.callback<never, AnvilNotStarted>((resume) => {
      const fail = (why: string) =>
        resume(Effect.fail(new AnvilNotStarted({ reason: "exited", detail: `${why}: ${complaint.trim() || "it said nothing"}` })))
      child.once("exit", (code, signal) => fail(`anvil ended with ${code ?? signal}`))
      child.once("error", (error) => fail(error.message))
    })
    const url = `http://127.0.0.1:${port}`
    const answered = Effect.retry(chainIdAt(url), { schedule: Schedule.spaced(READY_POLL_MS) }).pipe(
      Effect.timeoutOrElse({
        duration: READY_MS_MAX,
        orElse: () =>
          Effect.fail(new AnvilNotStarted({ reason: "not-ready", detail: `no answer from ${url} within ${READY_MS_MAX} ms` }))
      })
    )
    const chainId = yield* Effect.raceFirst(answered, exited)
    return { url, port, chainId, mnemonic, processId: child.pid ?? 0 } satisfies Anvil
  })

/** Starts a chain and waits until it answers. It is stopped when the scope closes. */
export const startAnvil = (options: AnvilOptions = {}): Effect.Effect<Anvil, AnvilNotStarted, Scope.Scope> =>
  Effect.gen(function*() {
    const binary = yield* binaryPath
    const wanted = options.port ?? 0
    if (wanted !== 0) return yield* launch(binary, wanted, options)
    const attempt = Effect.flatMap(freePort, (port) => launch(binary, port, options))
    return yield* Effect.retry(attempt, { times: PORT_TRIES - 1, while: (error) => error.reason === "exited" })
  })
