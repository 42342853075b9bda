/**
 * The contracts of one deployment, found from the gateway's address, and how to ask them: every failure becomes one of our
 * errors.
 */
import {
  Contract,
  Interface,
  isError,
  type Provider,
  type Result,
  type Signer,
  type TransactionReceipt,
  type TransactionResponse
} from "ethers"
import { abi as accessListAbi } from "../adapters/ethereum/generated/AccessList.ts"
import { abi as ciphertextRegistryAbi } from "../adapters/ethereum/generated/CiphertextRegistry.ts"
import { abi as committeeRegistryAbi } from "../adapters/ethereum/generated/CommitteeRegistry.ts"
import { abi as gatewayAbi } from "../adapters/ethereum/generated/DecryptionGateway.ts"
import { lower, parseHex, type Hex } from "../domain/hex.ts"
import { ChainUnreachable, ContractRefused, InputRejected, NotAGateway, SignerNeeded } from "./client-errors.ts"

export const gatewayInterface = new Interface(gatewayAbi)
const INTERFACES = [
  gatewayInterface,
  ...[ciphertextRegistryAbi, accessListAbi, committeeRegistryAbi].map((abi) => new Interface(abi))
]

/**
 * Twenty-five blocks of Ethereum: a transaction that is not mined by then pays too little, or waits for one with an earlier
 * nonce.
 */
const MINED_MS_MAX = 300_000

export interface Deployment {
  readonly chainId: bigint
  readonly provider: Provider
  /** Undefined: read-only. */
  readonly signer: Signer | undefined
  readonly gateway: Contract
  readonly registry: Contract
  readonly accessList: Contract
  readonly committees: Contract
  readonly addresses: { readonly gateway: Hex; readonly registry: Hex; readonly accessList: Hex; readonly committees: Hex }
}

/** Rejects with `NotAGateway`, `ChainUnreachable` or `InputRejected`. */
export const findDeployment = async (address: string, provider: Provider, signer: Signer | undefined): Promise<Deployment> => {
  const at = addressOf("gateway", address)
  const { chainId } = await asking("connect", () => provider.getNetwork())
  const gateway = new Contract(at, gatewayAbi, signer ?? provider)
  const find = async (getter: string): Promise<Hex> => lower(String(await gateway.getFunction(getter)()))
  // An address without code answers with nothing, and a stranger's contract reverts: neither is a gateway.
  const found = await Promise.all(["ciphertexts", "accessList", "committees"].map(find)).catch((error: unknown) => {
    throw isError(error, "BAD_DATA") || isError(error, "CALL_EXCEPTION")
      ? new NotAGateway({ address: at, chainId })
      : new ChainUnreachable({ doing: "connect", cause: error })
  })
  const [registry, accessList, committees] = found as [Hex, Hex, Hex]
  const contractAt = (where: Hex, abi: ConstructorParameters<typeof Contract>[1]) => new Contract(where, abi, signer ?? provider)
  return {
    chainId,
    provider,
    signer,
    gateway,
    registry: contractAt(registry, ciphertextRegistryAbi),
    accessList: contractAt(accessList, accessListAbi),
    committees: contractAt(committees, committeeRegistryAbi),
    addresses: { gateway: at, registry, accessList, committees }
  }
}

/** Answers of views, decoded. Rejects with `ContractRefused` or `ChainUnreachable`. */
export const ask = (contract: Contract, view: string, ...values: ReadonlyArray<unknown>): Promise<Result> =>
  asking(view, async () => {
    const answer = (await contract.getFunction(view).staticCallResult(...values)) as Result
    answer.toArray(true) // a part that cannot be decoded throws here, and not where it is used
    return answer
  })

/** Sends and waits until it is mined. Rejects with `SignerNeeded`, `ContractRefused` or `ChainUnreachable`. */
export const send = async (
  { signer }: Deployment,
  contract: Contract,
  method: string,
  ...values: ReadonlyArray<unknown>
): Promise<TransactionReceipt> => {
  if (signer === undefined) throw new SignerNeeded({ doing: method })
  const receipt = await asking(method, async () => {
    // Estimated here and not by the signer: ethers' NonceManager counts a transaction that then fails its estimate, and is
    // stuck for good.
    const gasLimit = await contract.getFunction(method).estimateGas(...values)
    const sent = (await contract.getFunction(method).send(...values, { gasLimit })) as TransactionResponse
    return sent.wait(1, MINED_MS_MAX)
  })
  if (receipt === null) throw new ChainUnreachable({ doing: method, cause: "no receipt" })
  return receipt
}

export const asking = async <A>(doing: string, question: () => Promise<A>): Promise<A> => {
  try {
    return await question()
  } catch (error) {
    if (!isError(error, "CALL_EXCEPTION")) throw new ChainUnreachable({ doing, cause: error })
    const said = INTERFACES.map((known) => (error.data ? known.parseError(error.data) : null)).find((parsed) => parsed !== null)
    throw new ContractRefused({ doing, error: said?.name ?? "revert", details: said ? [...said.args].map(String) : [] })
  }
}

/** Lower-case. Throws `InputRejected`. */
export const addressOf = (argument: string, text: string): Hex => bytesOf(argument, text, 20, "an address")

/** Lower-case. Throws `InputRejected`. */
export const bytes32Of = (argument: string, text: string): Hex => bytesOf(argument, text, 32, "32 bytes")

const bytesOf = (argument: string, text: string, length: number, what: string): Hex => {
  if (parseHex(text, length) === undefined) throw new InputRejected({ argument, reason: `is not ${what} in hex` })
  return lower(text)
}
