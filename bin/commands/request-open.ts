/** `portcullis request open`: fetches the result of a user request and opens it with the transport secret that it was asked with. */
import { Effect, Stream } from "effect"
import { ciphertextRegistryLayer } from "../../src/adapters/ethereum/ciphertext-registry.layer.ts"
import { findRequest } from "../../src/client/request-facts.ts"
import type { CiphertextRecord } from "../../src/domain/ciphertext.ts"
import { CiphertextRegistry } from "../../src/journey/3-ciphertext-fetched/ciphertext-registry.port.ts"
import { CiphertextStore } from "../../src/journey/3-ciphertext-fetched/ciphertext-store.port.ts"
import { openClient, storeLayerOf, storesFrom, type ChainFlags } from "../client-access.ts"
import { readTransportFile, writeNew } from "../key-file.ts"
import { requestIdFrom } from "../ledger-access.ts"
import { plaintextJson, shownPlaintext } from "../plaintext.ts"
import { attempt, failed, runCommand, usage, type Answer } from "../run-command.ts"

export interface OpenFlags extends ChainFlags {
  readonly transportFile: string
  readonly store?: ReadonlyArray<string>
  readonly valueFile?: string
  readonly timeout: number
}

export const requestOpen = (id: string, flags: OpenFlags): Promise<void> => runCommand(flags, openAnswer(id, flags))

const openAnswer = Effect.fnUntraced(function* (text: string, flags: OpenFlags) {
  const id = yield* requestIdFrom(text)
  const { client, deployment, rpc, settings, startBlock } = yield* openClient(flags)
  const stores = yield* storesFrom(flags.store, settings)
  const transport = yield* attempt(() => readTransportFile(flags.transportFile))
  const { facts } = yield* attempt(() => findRequest(deployment, id, startBlock))
  if (facts.kind !== "user") return yield* failed("this is a public request: its plaintext is on chain", `portcullis request watch ${id}`)
  if (flags.valueFile !== undefined && facts.handles.length > 1) {
    return yield* usage(`--value-file takes one value, and this request has ${facts.handles.length}: leave it out, or use --json`)
  }
  const became = yield* attempt(() => client.waitForResult(id, { timeoutMs: flags.timeout * 1_000, pollMs: 250, fromBlock: startBlock }))
  if (became.type !== "fulfilled") return yield* failed("there is no result yet", `portcullis request watch ${id}`)
  const { addresses, chainId } = deployment
  const contracts = {
    ...{ chainId, startBlock, decryptionGateway: addresses.gateway, accessList: addresses.accessList },
    ...{ ciphertextRegistry: addresses.registry, committeeRegistry: addresses.committees }
  }
  const records = yield* CiphertextRegistry.use((registry) => registry.records(facts.handles)).pipe(
    Effect.provide(ciphertextRegistryLayer(rpc, contracts))
  )
  const ciphertexts = yield* Effect.forEach(records, (record) => fetch(record)).pipe(Effect.provide(storeLayerOf(stores)))
  const opened = yield* attempt(() => client.openUserResult(became, transport, ciphertexts, { fromBlock: startBlock })).pipe(
    Effect.ensuring(Effect.sync(() => transport.destroy()))
  )
  const { valueFile } = flags
  const [first] = opened
  if (valueFile !== undefined && first !== undefined) {
    yield* attempt(() => writeNew("--value-file", valueFile, first))
    return { json: { requestId: id, valueFile, sizeBytes: first.length }, lines: [`opened     ${first.length} bytes in ${valueFile}`] } satisfies Answer
  }
  return {
    json: { requestId: id, plaintexts: opened.map((value, index) => ({ handle: facts.handles[index], ...plaintextJson(value) })) },
    lines: opened.map((value, index) => `plaintext  ${shownPlaintext(value)}  (${facts.handles[index]})`)
  } satisfies Answer
})

/** From the first location that has the bytes; whether they are the right ones, the client library checks. */
const fetch = (record: CiphertextRecord | undefined): Effect.Effect<Uint8Array, unknown, CiphertextStore> => {
  const [first, ...others] = record?.locations ?? []
  if (first === undefined) return Effect.fail(failed("a handle of this request is not registered"))
  const read = (location: string) => CiphertextStore.use((store) => Stream.runCollect(store.read(location)).pipe(Effect.map((chunks) => Buffer.concat([...chunks]))))
  return Effect.firstSuccessOf([first, ...others].map(read))
}
