/**
 * The library a dApp uses: encrypt a value for a handle, say who may decrypt it, ask for the decryption, open what comes back.
 * Promises and ethers 6; every failure is one of `client-errors.ts`. See docs/client.md.
 */
import type { Provider, Signer } from "ethers"
import type { Committee } from "../domain/committee.ts"
import { lower, type Hex } from "../domain/hex.ts"
import { HANDLES_PER_REQUEST_MAX, LOCATION_BYTES_MAX, LOCATIONS_PER_CIPHERTEXT_MAX } from "../domain/limits.ts"
import { KIND_NUMBER } from "../domain/request.ts"
import {
  ChainUnreachable,
  CommitteeUnusable,
  ContractRefused,
  InputRejected,
  NotAGateway,
  ResultRejected,
  SecretDestroyed,
  SignerNeeded
} from "./client-errors.ts"
import { readCommittee } from "./committee-record.ts"
import { decodeResult } from "./decode-result.ts"
import { addressOf, ask, asking, bytes32Of, findDeployment, send, type Deployment } from "./deployment.ts"
import { encryptValue, randomSalt, VALUE_BYTES_MAX, type Encrypted } from "./encrypt-value.ts"
import { openItems } from "./open-result.ts"
import { findRequest, requestIn, type RaisedRequest } from "./request-facts.ts"
import { TransportSecret } from "./transport-secret.ts"
import { attestationIn, requireAttested } from "./verify-attestation.ts"
import { waitForResult, type Denial, type Fulfilled, type Waited, type WaitOptions } from "./wait-for-result.ts"

/** Where ciphertexts are put, so that gateways find them. */
export interface CiphertextUpload {
  /** Answers the location to register. `digest` is sha256 of `bytes`, in hex. */
  readonly put: (digest: string, bytes: Uint8Array) => Promise<string>
}

/** With a signer for everything; with a provider alone only to encrypt for a named owner, wait, open and verify. */
export type ConnectOptions = { readonly gateway: string } & ({ readonly signer: Signer } | { readonly provider: Provider })

export interface Mined {
  readonly txHash: Hex
  readonly blockNumber: number
}

export interface Requested extends Mined {
  readonly requestId: Hex
}

export interface Deadline {
  /** From the latest block's time on; at most 7 days. Default 600. */
  readonly deadlineSeconds?: number
  /** Or the very moment, in Unix seconds by the chain's clock. */
  readonly deadline?: number
}

export interface PublicRequestOptions extends Deadline {
  /** Gas for `onDecrypted` of the requesting contract; 0 for no callback (default), at most 500,000. */
  readonly callbackGas?: number
  /** 32 bytes in hex. Name it, and the deadline, and the same request raised again is recognised. */
  readonly salt?: string
}

export interface UserRequestOptions extends Deadline {
  /** Whose permission is used: the signer (default), or somebody who delegated to it. */
  readonly account?: string
  /** Default: a fresh one. */
  readonly transport?: TransportSecret
  readonly salt?: string
}

const DEADLINE_SECONDS = 600
/** Requests whose facts are remembered, so that they need not be looked up again. */
const REMEMBERED_MAX = 1_024
const DENIALS: ReadonlyArray<Denial | undefined> = [
  undefined,
  "handle-unknown",
  "other-epoch",
  "epoch-not-active",
  "not-public",
  "account-not-allowed",
  "not-delegated",
  "kind-unknown"
]

/** Finds the other contracts from the gateway's address. Rejects with `NotAGateway`, `ChainUnreachable` or `InputRejected`. */
export const connect = async (options: ConnectOptions): Promise<PortcullisClient> => {
  const signer = "signer" in options ? options.signer : undefined
  const provider = "provider" in options ? options.provider : options.signer.provider
  if (provider === null) throw new InputRejected({ argument: "signer", reason: "is not connected to a provider" })
  return new PortcullisClient(await findDeployment(options.gateway, provider, signer))
}

/**
 * The plaintexts of a public result, one for each handle: of a `Fulfilled`, or of the bytes a contract was called with. Throws
 * `InputRejected`.
 */
export const decodePublicResult = (result: Fulfilled | Uint8Array): ReadonlyArray<Uint8Array> => {
  const items = decodeResult(result instanceof Uint8Array ? result : result.result)
  if (items === undefined) throw new InputRejected({ argument: "result", reason: "is not abi.encode(bytes[])" })
  return items
}

/** Made by `connect`. All methods reject with the errors of `client-errors.ts`. */
export class PortcullisClient {
  readonly #deployment: Deployment
  readonly #committees = new Map<number, Committee>()
  readonly #requests = new Map<Hex, RaisedRequest>()

  constructor(deployment: Deployment) {
    this.#deployment = deployment
  }

  get chainId(): bigint {
    return this.#deployment.chainId
  }

  get addresses(): Deployment["addresses"] {
    return this.#deployment.addresses
  }

  /** The committee of an epoch; of the newest that is not retired when none is named. Records never change, but for being retired. */
  async committee(epoch?: number): Promise<Committee> {
    if (epoch !== undefined) return readCommittee(this.#deployment, epoch)
    const { committees } = this.#deployment
    const [current] = await ask(committees, "currentEpoch")
    // Where all are retired the newest is still the one to say so.
    const [newest] = Number(current) === 0 ? await ask(committees, "latestEpoch") : [current]
    return readCommittee(this.#deployment, Number(newest))
  }

  /**
   * Encrypts up to 16 MiB (4,096 bytes if it is to be made public) for the latest committee or that of `epoch`. Nothing is
   * sent. `owner`: who will register it, the signer by default; `salt`: 32 fresh random bytes by default, and never used twice
   * by one owner.
   */
  async encrypt(
    value: Uint8Array,
    of: { readonly owner?: string; readonly salt?: string; readonly epoch?: number } = {}
  ): Promise<Encrypted> {
    const owner = of.owner === undefined ? await this.#account("encrypt without an owner") : addressOf("owner", of.owner)
    const salt = of.salt === undefined ? randomSalt() : bytes32Of("salt", of.salt)
    const committee = await this.committee(of.epoch)
    if (committee.isRetired) throw new CommitteeUnusable({ epoch: committee.epoch, reason: "it is retired" })
    return encryptValue(this.#deployment, committee, value, { owner, salt })
  }

  /** Makes the handle known. Registering the very same again is harmless; the signer must be the owner. */
  async register(encrypted: Encrypted, locations: ReadonlyArray<string>): Promise<Mined> {
    const { registry } = this.#deployment
    if (locations.length < 1 || locations.length > LOCATIONS_PER_CIPHERTEXT_MAX) {
      throw new InputRejected({ argument: "locations", reason: `1 to ${LOCATIONS_PER_CIPHERTEXT_MAX} are needed` })
    }
    if (locations.some((location) => !/^store:\/\/[!-~]+$/.test(location) || location.length > LOCATION_BYTES_MAX)) {
      throw new InputRejected({
        argument: "locations",
        reason: `each is store://<store name>/<key>, at most ${LOCATION_BYTES_MAX} bytes`
      })
    }
    if ((await this.#account("register")) !== encrypted.owner) {
      throw new InputRejected({ argument: "encrypted", reason: "belongs to another owner than the signer" })
    }
    const { salt, digest, ciphertext, epoch } = encrypted
    try {
      return minedOf(await send(this.#deployment, registry, "register", salt, digest, ciphertext.length, epoch, [...locations]))
    } catch (error) {
      if (!(error instanceof ContractRefused) || error.error !== "AlreadyRegistered") throw error
      const earlier = await this.#registration(encrypted)
      if (earlier === undefined) throw error
      return earlier
    }
  }

  /** Everybody may ask for this handle's plaintext to be made public. Only the owner can say so. */
  async allowForDecryption(handle: string): Promise<Mined> {
    return this.#permit("allowForDecryption", bytes32Of("handle", handle))
  }

  async revokeForDecryption(handle: string): Promise<Mined> {
    return this.#permit("revokeForDecryption", bytes32Of("handle", handle))
  }

  /** `account` may have this handle decrypted for itself. Only the owner can say so; it is always allowed itself. */
  async allow(handle: string, account: string): Promise<Mined> {
    return this.#permit("allow", bytes32Of("handle", handle), addressOf("account", account))
  }

  async revoke(handle: string, account: string): Promise<Mined> {
    return this.#permit("revoke", bytes32Of("handle", handle), addressOf("account", account))
  }

  /** `delegate` may ask in the signer's name, for whatever the signer may decrypt, until `expiry` (Unix seconds). */
  async delegate(delegate: string, expiry: number): Promise<Mined> {
    return this.#permit("delegate", addressOf("delegate", delegate), expiry)
  }

  async revokeDelegation(delegate: string): Promise<Mined> {
    return this.#permit("revokeDelegation", addressOf("delegate", delegate))
  }

  /** Asks for the plaintexts of 1 to 32 handles to be made public. The signer is the requester: it gets the callback. */
  async requestPublic(handles: ReadonlyArray<string>, options: PublicRequestOptions = {}): Promise<Requested> {
    const asked = handlesOf(handles)
    const salt = options.salt === undefined ? randomSalt() : bytes32Of("salt", options.salt)
    const deadline = await this.#deadline(options)
    return this.#raise("requestPublic", asked, deadline, options.callbackGas ?? 0, salt)
  }

  /** Asks for the keys of 1 to 32 handles, encrypted to `transport`: keep it until the result has been opened. */
  async requestUser(
    handles: ReadonlyArray<string>,
    options: UserRequestOptions = {}
  ): Promise<Requested & { readonly transport: TransportSecret }> {
    const asked = handlesOf(handles)
    const account = options.account === undefined ? await this.#account("requestUser") : addressOf("account", options.account)
    const salt = options.salt === undefined ? randomSalt() : bytes32Of("salt", options.salt)
    const transport = options.transport ?? TransportSecret.generate()
    const deadline = await this.#deadline(options)
    return { ...(await this.#raise("requestUser", asked, account, transport.publicKey, deadline, salt)), transport }
  }

  /**
   * What became of a request. The result has been compared with the hash that the contract recorded; see `verifyResult` for
   * more.
   */
  async waitForResult(requestId: string, options: WaitOptions = {}): Promise<Waited> {
    const id = bytes32Of("requestId", requestId)
    const known = this.#requests.get(id)
    const awaited = {
      requestId: id,
      deadline: known?.facts.deadline,
      handles: known?.facts.handles.length,
      fromBlock: options.fromBlock ?? known?.blockNumber ?? 0,
      denial: async () => (known === undefined ? undefined : this.#denial(known))
    }
    return waitForResult(this.#deployment, awaited, options)
  }

  /**
   * The plaintexts of a user result, one for each handle of the request. Each key is proved to be the committee's, and each
   * ciphertext to be the registered one. `ciphertexts`: the registered bytes, in any order.
   */
  async openUserResult(
    result: Pick<Fulfilled, "requestId" | "items">,
    transport: TransportSecret,
    ciphertexts: ReadonlyArray<Uint8Array>,
    { fromBlock = 0 }: { readonly fromBlock?: number } = {}
  ): Promise<ReadonlyArray<Uint8Array>> {
    const { requestId, items } = result
    const { facts } = await this.#request(requestId, fromBlock)
    const committee = await this.#committeeOf(facts.epoch)
    const records = await Promise.all(facts.handles.map((handle) => ask(this.#deployment.registry, "recordOf", handle)))
    const digests = records.map((record) => ({ digest: lower(String(record.digest)) }))
    return openItems(
      { requestId, facts, registry: this.addresses.registry, committee, records: digests, items, ciphertexts },
      transport
    )
  }

  /**
   * Proves, from the transaction that brought it, that k nodes of the committee attested this result. Give a `committee` that
   * you have pinned and nothing is left to the endpoint's word. Rejects with `ResultRejected` when it is not so.
   */
  async verifyResult(result: Fulfilled, { committee: pinned }: { readonly committee?: Committee } = {}): Promise<void> {
    const { requestId, txHash } = result
    const { chainId, provider } = this.#deployment
    const transaction = await asking("read the transaction", () => provider.getTransaction(txHash))
    const brought = transaction === null ? undefined : attestationIn(this.addresses.gateway, transaction)
    if (brought === undefined)
      throw new ResultRejected({ requestId, reason: "its transaction carries no attestation that can be read" })
    const committee = pinned ?? (await this.#committeeOf(brought.attested.epoch))
    requireAttested(chainId, this.addresses.gateway, committee, result, brought)
  }

  async #account(doing: string): Promise<Hex> {
    const { signer } = this.#deployment
    if (signer === undefined) throw new SignerNeeded({ doing })
    return lower(await asking(doing, () => signer.getAddress()))
  }

  /** Only for keys, which never change; whether an epoch is retired is always asked anew. */
  async #committeeOf(epoch: number): Promise<Committee> {
    const committee = this.#committees.get(epoch) ?? (await this.committee(epoch))
    this.#committees.set(epoch, committee)
    return committee
  }

  async #permit(method: string, ...values: ReadonlyArray<unknown>): Promise<Mined> {
    return minedOf(await send(this.#deployment, this.#deployment.accessList, method, ...values))
  }

  /** The contract compares with the time of the block that a request gets into, so the chain's clock is asked and not ours. */
  async #deadline({ deadlineSeconds, deadline }: Deadline): Promise<number> {
    if (deadline !== undefined && deadlineSeconds !== undefined)
      throw new InputRejected({ argument: "deadline", reason: "is named twice" })
    if (deadline !== undefined) return positive("deadline", deadline)
    const seconds = positive("deadlineSeconds", deadlineSeconds ?? DEADLINE_SECONDS)
    const { provider } = this.#deployment
    const block = await asking(
      "read the chain's clock",
      async () => (await provider.getBlock("pending")) ?? provider.getBlock("latest")
    )
    if (block === null) throw new ChainUnreachable({ doing: "read the chain's clock", cause: "no block" })
    return block.timestamp + seconds
  }

  async #raise(method: string, ...values: ReadonlyArray<unknown>): Promise<Requested> {
    const receipt = await send(this.#deployment, this.#deployment.gateway, method, ...values)
    const raised = requestIn(this.#deployment, receipt)
    if (raised === undefined) throw new ChainUnreachable({ doing: method, cause: "the receipt names no request" })
    this.#remember(raised)
    return { requestId: raised.requestId, ...minedOf(receipt) }
  }

  async #request(requestId: Hex, fromBlock: number): Promise<RaisedRequest> {
    const request = this.#requests.get(requestId) ?? (await findRequest(this.#deployment, requestId, fromBlock))
    this.#remember(request)
    return request
  }

  #remember(request: RaisedRequest): void {
    this.#requests.set(request.requestId, request)
    if (this.#requests.size > REMEMBERED_MAX) this.#requests.delete(this.#requests.keys().next().value!)
  }

  async #denial({ facts }: RaisedRequest): Promise<Denial | undefined> {
    const [found] = await ask(this.#deployment.gateway, "inspect", { ...facts, kind: KIND_NUMBER[facts.kind] })
    return DENIALS[Number(found.denial)]
  }

  /** The transaction that registered the very same ciphertext earlier, if that is what happened. */
  async #registration({ handle, digest, epoch, ciphertext }: Encrypted): Promise<Mined | undefined> {
    const { registry } = this.#deployment
    const record = await ask(registry, "recordOf", handle)
    const isSame =
      lower(String(record.digest)) === digest && Number(record.epoch) === epoch && Number(record.size) === ciphertext.length
    if (!isSame) return undefined
    const [event] = await asking("find the registration", () =>
      registry.queryFilter(registry.filters.CiphertextRegistered!(handle))
    )
    return event === undefined ? undefined : { txHash: lower(event.transactionHash), blockNumber: event.blockNumber }
  }
}

const minedOf = ({ hash, blockNumber }: { readonly hash: string; readonly blockNumber: number }): Mined => ({
  txHash: lower(hash),
  blockNumber
})

const positive = (argument: string, value: number): number => {
  if (!Number.isSafeInteger(value) || value < 1) throw new InputRejected({ argument, reason: "is not a positive integer" })
  return value
}

const handlesOf = (handles: ReadonlyArray<string>): ReadonlyArray<Hex> => {
  if (handles.length < 1 || handles.length > HANDLES_PER_REQUEST_MAX) {
    throw new InputRejected({ argument: "handles", reason: `1 to ${HANDLES_PER_REQUEST_MAX} are asked for at once` })
  }
  return handles.map((handle) => bytes32Of("handles", handle))
}

// The one door of the package: what a dApp names or catches is found here.
export {
  ChainUnreachable,
  CommitteeUnusable,
  ContractRefused,
  InputRejected,
  NotAGateway,
  ResultRejected,
  SecretDestroyed,
  SignerNeeded
}
export { TransportSecret, VALUE_BYTES_MAX }
export type { Committee, Denial, Encrypted, Fulfilled, Waited, WaitOptions }
