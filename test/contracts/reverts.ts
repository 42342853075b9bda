/** What a contract said no with: the custom error by name, with its arguments. */
import { isCallException, type Interface } from "ethers"

export interface Refusal {
  readonly name: string
  readonly args: ReadonlyArray<unknown>
}

/** "none" when nothing was refused, so that a test prints what happened instead of hanging on a promise. */
export const refusalOf = async (contract: { readonly interface: Interface }, call: Promise<unknown>): Promise<Refusal> => {
  try {
    await call
  } catch (error) {
    if (!isCallException(error) || error.data === null) throw error
    const parsed = contract.interface.parseError(error.data)
    return parsed === null ? { name: error.data, args: [] } : { name: parsed.name, args: [...parsed.args] }
  }
  return { name: "none", args: [] }
}
