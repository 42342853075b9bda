/** The dApp of the benches: encrypts values with the fast engine, registers their handles and raises public requests, many in one
 * transaction. Everything but raising happens before anything is measured. */
import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import { Contract, ContractFactory, Wallet, type InterfaceAbi } from "ethers"
import solc from "solc"
import type { World } from "../../bin/dev-world.ts"
import { ANVIL_MNEMONIC } from "../../src/adapters/embedded/anvil.ts"
import { directoryUpload } from "../../src/adapters/object-store/directory-upload.ts"
import { startEngine } from "../../src/adapters/worker-threads/engine-choice.ts"
import { handleOf, type Handle } from "../../src/domain/handle.ts"
import { fromHex, lower, toHex } from "../../src/domain/hex.ts"
import { sealCiphertext } from "../../src/threshold/ciphertext.ts"
import { identityBytes } from "../../src/threshold/identity.ts"
import { readPublicKey } from "../../src/threshold/shared-key.ts"

const SOURCE = "bench-requester.sol"
const VALUE_BYTES = 32
/** Both stay far below a block's 30 million. */
const REGISTRATIONS_PER_TRANSACTION = 50
const REQUESTS_PER_TRANSACTION = 100
const REGISTRATION_GAS = 400_000n
const REQUEST_GAS = 90_000n
const BASE_GAS = 200_000n
const DEADLINE_SECONDS = 3_600
const FEES = { maxFeePerGas: 100_000_000_000n, maxPriorityFeePerGas: 1_000_000_000n }

export interface BulkClient {
  /** Sends everything; numbers its transactions itself. */
  readonly account: string
  /** Encrypts, stores, registers and allows so many values. */
  readonly prepare: (count: number) => Promise<void>
  /** Raises requests for so many of the prepared handles, each used once; when all were used, they are asked for again. Answers the
   * hashes of the transactions, which nobody has waited for. */
  readonly raise: (count: number) => Promise<ReadonlyArray<string>>
}

interface Compiled {
  readonly abi: InterfaceAbi
  readonly evm: { readonly bytecode: { readonly object: string } }
}

const compile = () => {
  const content = readFileSync(new URL(`./${SOURCE}`, import.meta.url), "utf8")
  const settings = {
    evmVersion: "prague",
    optimizer: { enabled: true },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } }
  }
  const input = { language: "Solidity", sources: { [SOURCE]: { content } }, settings }
  const output = JSON.parse(solc.compile(JSON.stringify(input))) as {
    readonly contracts?: Record<string, Record<string, Compiled>>
  }
  const compiled = output.contracts?.[SOURCE]?.["BenchRequester"]
  assert(compiled !== undefined, JSON.stringify(output))
  return compiled
}

/** What it has to know of the world. */
export type ClientWorld = Pick<World, "contracts" | "provider" | "committee" | "store">

export const bulkClient = async (world: ClientWorld): Promise<BulkClient> => {
  const { contracts, provider, committee } = world
  // The account that has deployed, and does nothing else any more.
  const wallet = Wallet.fromPhrase(ANVIL_MNEMONIC).connect(provider)
  const { abi, evm } = compile()
  const requester = (await (await new ContractFactory(abi, evm.bytecode.object, wallet).deploy()).waitForDeployment()) as Contract
  const owner = lower(await requester.getAddress())
  const engine = await startEngine("mcl")
  const publicKey = readPublicKey(engine, fromHex(committee.decryptionKey))
  const upload = directoryUpload(world.store.name, world.store.path)
  const handles: Array<Handle> = []
  let used = 0
  let nonce = await wallet.getNonce()

  const send = async (name: string, gasLimit: bigint, ...values: ReadonlyArray<unknown>) => {
    const data = requester.interface.encodeFunctionData(name, [...values])
    const of = { type: 2, chainId: contracts.chainId, nonce: nonce++, to: owner, data, gasLimit, ...FEES }
    const signed = await wallet.signTransaction(of)
    return (await provider.send("eth_sendRawTransaction", [signed])) as string
  }

  const mined = async (hash: string) => {
    for (;;) {
      const receipt = await provider.getTransactionReceipt(hash)
      if (receipt !== null) return assert.equal(receipt.status, 1, "a registration of the bench reverted")
    }
  }

  const one = async () => {
    const salt = toHex(randomBytes(32))
    const handle = handleOf({ chainId: contracts.chainId, registry: contracts.ciphertextRegistry, owner, salt })
    const registry = fromHex(contracts.ciphertextRegistry)
    const identity = identityBytes({ chainId: contracts.chainId, registry, handle: fromHex(handle) })
    const bytes = sealCiphertext(engine, { publicKey, epoch: committee.epoch, identity }, randomBytes(VALUE_BYTES))
    const digest = toHex(createHash("sha256").update(bytes).digest())
    return { handle, salt, digest, size: bytes.length, location: await upload.put(digest, bytes) }
  }

  const prepare = async (count: number) => {
    const sent: Array<string> = []
    for (let done = 0; done < count; done += REGISTRATIONS_PER_TRANSACTION) {
      const some: Array<Awaited<ReturnType<typeof one>>> = []
      // One after the other: sealing takes the processor, and a write that waits for it times out on a machine that has much to do.
      while (some.length < Math.min(REGISTRATIONS_PER_TRANSACTION, count - done)) some.push(await one())
      const gas = BASE_GAS + REGISTRATION_GAS * BigInt(some.length)
      sent.push(
        await send(
          "register",
          gas,
          ...[contracts.ciphertextRegistry, contracts.accessList, some.map(({ salt }) => salt), some.map(({ digest }) => digest)],
          ...[some[0]?.size, committee.epoch, some.map(({ location }) => location)]
        )
      )
      handles.push(...some.map(({ handle }) => handle))
    }
    for (const hash of sent) await mined(hash)
  }

  const raise = async (count: number) => {
    const deadline = Math.floor(Date.now() / 1_000) + DEADLINE_SECONDS
    const sent: Array<string> = []
    for (let left = count; left > 0; left -= REQUESTS_PER_TRANSACTION) {
      const some = Array.from({ length: Math.min(left, REQUESTS_PER_TRANSACTION) }, () => handles[used++ % handles.length])
      const gas = BASE_GAS + REQUEST_GAS * BigInt(some.length)
      sent.push(await send("raise", gas, contracts.decryptionGateway, some, deadline, toHex(randomBytes(32))))
    }
    return sent
  }

  return { account: wallet.address, prepare, raise }
}
