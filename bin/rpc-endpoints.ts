/** The RPC endpoints of the settings, and the pool of them with its voice: metrics, warnings, and a view for whoever shows it. */
import { Effect, Layer, type Scope } from "effect"
import { makeEndpointPool, type PoolOptions } from "../src/adapters/ethereum/endpoint-pool.ts"
import { makeNewHeads } from "../src/adapters/ethereum/new-heads.ts"
import type { Rpc } from "../src/adapters/ethereum/rpc.ts"
import { ChainEndpoints, ENDPOINT_STATES, type EndpointView } from "../src/telemetry/chain-endpoints.port.ts"
import { Telemetry } from "../src/telemetry/telemetry.port.ts"
import type { Settings } from "./settings.ts"

const RUNBOOK = "docs/runbooks/detected.md"

/** In the operator's order of preference. */
export const urlsIn = (text: string): ReadonlyArray<string> => text.split(",").map((url) => url.trim())

/** For commands that ask a question or two: the preferred one. */
export const preferredUrl = ({ PORTCULLIS_RPC_URL }: Settings): string | undefined =>
  PORTCULLIS_RPC_URL === undefined ? undefined : urlsIn(PORTCULLIS_RPC_URL)[0]

export type PoolPolicy = Pick<PoolOptions, "agreement" | "lagBlocksMax">

export const poolPolicy = (settings: Settings): PoolPolicy => ({
  agreement: settings.PORTCULLIS_RPC_AGREEMENT === "2" ? 2 : 1,
  lagBlocksMax: settings.PORTCULLIS_RPC_LAG_BLOCKS ?? LAG_BLOCKS_MAX
})

/** About a minute of Ethereum; seconds of a fast chain, where heads move while endpoints are being asked. */
const LAG_BLOCKS_MAX = 5
export const ONE_IS_ENOUGH: PoolPolicy = { agreement: 1, lagBlocksMax: LAG_BLOCKS_MAX }

/** Undefined when they can do what is demanded of them. An endpoint that is named twice would be its own witness. */
export const faultOfEndpoints = (settings: Settings): string | undefined => {
  const urls = urlsIn(settings.PORTCULLIS_RPC_URL ?? "")
  const twice = urls.findIndex((url, index) => urls.findIndex((other) => isSameUrl(url, other)) < index)
  if (twice > 0) return `PORTCULLIS_RPC_URL names an endpoint twice: take out number ${twice + 1}, or name another one`
  return settings.PORTCULLIS_RPC_AGREEMENT === "2" && urls.length < 2
    ? "PORTCULLIS_RPC_AGREEMENT=2 needs at least two endpoints in PORTCULLIS_RPC_URL"
    : undefined
}

const isSameUrl = (one: string, other: string): boolean => normal(one) === normal(other)

/** Case of the host, standard ports and a slash at the end make no difference. */
const normal = (url: string): string => (URL.parse(url)?.href ?? url).replace(/\/$/, "")

export const withEndpoints = <A, E, R>(
  of: { readonly rpcUrl: string; readonly chainId: bigint; readonly policy: PoolPolicy },
  use: (rpc: Rpc) => Layer.Layer<A, E, R>
) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const telemetry = yield* Telemetry
      const { rpc, view } = yield* makeEndpointPool(urlsIn(of.rpcUrl), of.chainId, { ...of.policy, ...voiceOf(telemetry) })
      return Layer.mergeAll(use(rpc), Layer.succeed(ChainEndpoints, { view }))
    })
  )

/** Ends at the next announced block; never where nobody announces any. */
export const announcements = (wsUrl: string | undefined): Effect.Effect<Effect.Effect<void>, never, Telemetry | Scope.Scope> =>
  wsUrl === undefined
    ? Effect.succeed(Effect.never)
    : Effect.flatMap(Telemetry, (telemetry) =>
        makeNewHeads(wsUrl, { onChange: (isSubscribed) => telemetry.gauge("heads_announced", isSubscribed ? 1 : 0) })
      )

const voiceOf = (telemetry: Telemetry["Service"]): Pick<PoolOptions, "onLook" | "onDisagreement"> => {
  const last = new Map<number, EndpointView["state"]>()
  return {
    onLook: (view) => {
      for (const { number, host, state } of view) {
        telemetry.gauge("rpc_endpoint_state", ENDPOINT_STATES.indexOf(state), String(number))
        const before = last.get(number) ?? "alive"
        last.set(number, state)
        if (before === state) continue
        if (state === "alive") telemetry.info("an RPC endpoint is well again", { endpoint: number, host, from: before })
        else telemetry.warn("an RPC endpoint is not well", { endpoint: number, host, state, runbook: RUNBOOK })
      }
    },
    onDisagreement: (about, numbers) => {
      telemetry.count("rpc_disagreements", 1, about)
      telemetry.warn("RPC endpoints disagree", { about, endpoints: numbers.join(", "), runbook: RUNBOOK })
    }
  }
}
