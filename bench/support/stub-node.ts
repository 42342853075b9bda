/**
 * A node of the cluster whose steps answer at once, in a process of its own (stub-cluster.ts starts it). It hears over its IPC
 * channel how to start and of every block, and says there how many requests it has seen finalized. It ends with its parent.
 */
import { Effect, Exit, Scope } from "effect"
import { Wallet } from "ethers"
import type { PostgresAddress } from "../../src/adapters/embedded/postgres-server.ts"
import { StubChain, type Poured } from "./stub-chain.ts"
import { startStubGateway } from "./stub-gateway.ts"

export interface NodeStart {
  readonly type: "start"
  readonly name: string
  readonly postgres: PostgresAddress
  readonly natsUrl: string
  readonly keyEncryptionKeyFile: string
  readonly chainSeed: string
  /** What the others have heard already. */
  readonly blocks: ReadonlyArray<Poured>
}

export type ToNode = NodeStart | ({ readonly type: "block" } & Poured)
export type FromNode = { readonly type: "serving" } | { readonly type: "finished"; readonly count: number }

const TELL_EVERY_MS = 25

const start = async (given: NodeStart, tell: (message: FromNode) => void) => {
  // The six steps do nothing, so nobody signs with it; a gateway has one all the same.
  const wallet = Wallet.createRandom()
  const chain = new StubChain([wallet.address], given.chainSeed)
  for (const block of given.blocks) chain.pour(block)
  let finished = 0
  const scope = await Effect.runPromise(Scope.make())
  const gateway = startStubGateway({
    ...given,
    stubbed: "steps",
    chain,
    wallets: [new Wallet(wallet.privateKey)],
    onFinished: () => void (finished += 1)
  })
  await Effect.runPromise(Scope.provide(gateway, scope))
  let told = 0
  const telling = setInterval(() => {
    if (finished === told) return
    told = finished
    tell({ type: "finished", count: finished })
  }, TELL_EVERY_MS)
  tell({ type: "serving" })
  return {
    chain,
    stop: async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      clearInterval(telling)
      tell({ type: "finished", count: finished })
    }
  }
}

if (import.meta.main) {
  let node: ReturnType<typeof start> | undefined
  process.on("message", (message: ToNode) => {
    if (message.type === "start") node = start(message, (said) => void process.send?.(said))
    else void node?.then(({ chain }) => chain.pour(message))
  })
  process.once("disconnect", () => process.exit(1))
  process.once("SIGTERM", () => {
    const stopped = node?.then(({ stop }) => stop()) ?? Promise.resolve()
    void stopped.then(() => process.disconnect())
  })
}
