/** How a failure of the wire is told: what was asked, the reason, and never the endpoint's URL. */
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"

/** ethers' long messages repeat the endpoint's URL, and with it whoever's API key is part of it. */
export const unavailable = (doing: string, cause: unknown): ChainUnavailable => {
  const { code, shortMessage, message, error, info } = cause as {
    readonly code?: string
    readonly shortMessage?: string
    readonly message?: string
    readonly error?: unknown
    readonly info?: { readonly error?: unknown }
  }
  const said = error ?? info?.error
  const words = [code, shortMessage ?? message, said === undefined ? undefined : JSON.stringify(said)]
  return new ChainUnavailable({ doing, cause: words.filter((word) => word !== undefined).join(": ") })
}
