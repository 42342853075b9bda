/**
 * What the contracts cost: whole transactions on a local chain (Prague rules), calldata included, with 32 random bytes for
 * each plaintext, which is the dearest kind. Only the zero bytes of random data differ from run to run.
 */
import { randomBytes } from "node:crypto"
import type { Contract, TransactionReceipt, TransactionResponse } from "ethers"
import type { Hex } from "../src/domain/hex.ts"
import { committeeForChain } from "../src/adapters/ethereum/deploy.ts"
import { randomHex, resultOf, startWorld, testCommittee, type TestCommittee, type World } from "../test/contracts/world.ts"

export interface FulfilmentGas {
  /** One result, whole transaction. */
  readonly single: number
  /** The part of it that finds the committee's key and verifies the attestation. */
  readonly singleVerification: number
  /** A result of a batch of 32: the whole transaction, divided. */
  readonly batch32PerResult: number
  /** A result brought a second time: skipped, and not verified. */
  readonly duplicate: number
}

export interface GasReport extends FulfilmentGas {
  /** Two of three, by their signatures. */
  readonly quorum: FulfilmentGas
  /** Seventeen of 32: where the quorum costs about what BLS costs whatever its size. */
  readonly quorum17of32: FulfilmentGas
  readonly requestPublic: number
  readonly requestUser: number
  readonly requestPublic32Handles: number
  readonly register: number
  readonly allow: number
  readonly allowForDecryption: number
  readonly delegate: number
  readonly registerCommittee3: number
  readonly registerCommittee32: number
}

interface Frame {
  readonly to: string
  readonly gasUsed: string
  readonly calls?: ReadonlyArray<Frame>
}

const COLD_ACCOUNT_GAS = 2_600

const gasOf = async (world: World, sent: Promise<TransactionResponse>): Promise<number> => {
  const receipt = await world.chain.mined(sent)
  if (receipt.status !== 1) throw new Error(`transaction ${receipt.hash} reverted: its gas means nothing`)
  return Number(receipt.gasUsed)
}

/** The gateway's two calls, to the registry and to the verifier, with what it costs to reach two accounts for the first time. */
const verificationGas = async (world: World, receipt: TransactionReceipt): Promise<number> => {
  const trace = (await world.chain.rpc("debug_traceTransaction", receipt.hash, { tracer: "callTracer" })) as Frame
  return (trace.calls ?? []).reduce((sum, call) => sum + Number(call.gasUsed) + COLD_ACCOUNT_GAS, 0)
}

const measureFulfilment = async (world: World): Promise<FulfilmentGas> => {
  const { gateway, chain } = world
  const answered = async (count: number) => {
    const ids: ReadonlyArray<Hex> = await Promise.all(Array.from({ length: count }, () => world.requested()))
    return ids.map((requestId) => ({ requestId, result: resultOf(randomBytes(32)) }))
  }
  const [response] = await answered(1)
  const of = await world.attested([response!])
  const fulfil = () => gateway.getFunction("fulfil")(of.root, of.attestation, response, [])
  const receipt = await chain.mined(fulfil())
  const duplicate = await gasOf(world, fulfil())
  const responses = await answered(32)
  const batch = await world.attested(responses)
  const batchGas = await gasOf(world, gateway.getFunction("fulfilBatch")(batch.root, batch.attestation, responses))
  return {
    single: Number(receipt.gasUsed),
    singleVerification: await verificationGas(world, receipt),
    batch32PerResult: Math.round(batchGas / 32),
    duplicate
  }
}

const inWorld = async <A>(scheme: "bls" | "quorum", keys: TestCommittee, run: (world: World) => Promise<A>): Promise<A> => {
  const world = await startWorld(scheme, {}, keys)
  try {
    return await run(world)
  } finally {
    await world.chain.stop()
  }
}

const measureRequests = async (world: World) => {
  const handles = await Promise.all(Array.from({ length: 32 }, () => world.registered()))
  const deadline = (await world.now()) + 3_600
  const account = world.chain.address(1)
  const location = `store://main/${"ab".repeat(32)}`
  const send = (contract: Contract, name: string, ...args: ReadonlyArray<unknown>) =>
    gasOf(world, contract.getFunction(name)(...args))
  const transportKey = `0x97${"5a".repeat(47)}`
  const committee = (nodes: number) =>
    committeeForChain(testCommittee("bls", 2, nodes).committee, world.deployment.addresses.blsVerifier)
  return {
    requestPublic: await send(world.gateway, "requestPublic", handles.slice(0, 1), deadline, 0, randomHex(32)),
    requestUser: await send(world.gateway, "requestUser", handles.slice(0, 1), account, transportKey, deadline, randomHex(32)),
    requestPublic32Handles: await send(world.gateway, "requestPublic", handles, deadline, 0, randomHex(32)),
    register: await send(world.registry, "register", randomHex(32), randomHex(32), 300, 1, [location]),
    allow: await send(world.list, "allow", handles[0], account),
    allowForDecryption: await send(world.list, "allowForDecryption", handles[0]),
    delegate: await send(world.list, "delegate", account, deadline),
    registerCommittee3: await send(world.committees, "register", committee(3)),
    registerCommittee32: await send(world.committees, "register", committee(32))
  }
}

/** Starts a chain for each committee; takes some seconds. */
export const measureGas = async (): Promise<GasReport> => ({
  ...(await inWorld("bls", testCommittee("bls"), async (world) => ({
    ...(await measureFulfilment(world)),
    ...(await measureRequests(world))
  }))),
  quorum: await inWorld("quorum", testCommittee("quorum"), measureFulfilment),
  quorum17of32: await inWorld("quorum", testCommittee("quorum", 17, 32), measureFulfilment)
})

const AIMS = { single: 200_000, singleVerification: 135_000, batch32PerResult: 15_000 } as const

const cells = (values: ReadonlyArray<string>): string => values.map((value) => value.padStart(15)).join("")

/** Lines of text for people. */
export const gasTable = ({ quorum, quorum17of32, ...bls }: GasReport): string => {
  const row = ([name, gas]: readonly [string, number]) => {
    const key = name as keyof FulfilmentGas
    const aim = AIMS[name as keyof typeof AIMS]
    const columns = [gas, quorum[key], quorum17of32[key], aim]
    return name.padEnd(24) + cells(columns.map((value?: number) => value?.toLocaleString("en") ?? ""))
  }
  const heading = "gas, whole transaction".padEnd(24) + cells(["BLS", "2 signatures", "17 signatures", "aim"])
  return [heading, ...Object.entries(bls).map(row)].join("\n")
}

if (import.meta.main) {
  const report = await measureGas()
  console.log(process.argv.includes("--json") ? JSON.stringify(report) : gasTable(report))
}
