/** An RPC endpoint that does not tell the truth, or does not answer. */
import { JsonRpcProvider } from "ethers"

type Answer = unknown
/** Given the true answer; what it returns is what the client hears. May throw. */
export type Lie = (method: string, params: ReadonlyArray<unknown>, truth: () => Promise<Answer>) => Promise<Answer>

export class LyingProvider extends JsonRpcProvider {
  readonly #lie: Lie

  constructor(url: string, chainId: number, lie: Lie) {
    super(url, chainId, { staticNetwork: true, cacheTimeout: -1, batchMaxCount: 1 })
    this.#lie = lie
  }

  override send(method: string, params: Array<unknown> | Record<string, unknown>): Promise<unknown> {
    return this.#lie(method, Array.isArray(params) ? params : [params], () => super.send(method, params))
  }
}
